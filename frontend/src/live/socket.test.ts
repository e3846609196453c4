import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LiveSocket, type LiveStatus, NOT_LIVE_CODE, SIGNED_OUT_CODE, SILENCE_MS } from "./socket";

class FakeSocket {
  static made: FakeSocket[] = [];
  readyState = 0;
  sent: unknown[] = [];
  closedByUs = false;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onerror: (() => void) | null = null;

  constructor() {
    FakeSocket.made.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closedByUs = true;
  }
  opens() {
    this.readyState = 1;
    this.onopen?.();
  }
  says(message: unknown) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  goesLive() {
    this.opens();
    this.says({ subscribed: [], refused: [] });
  }
  breaks(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

let statuses: LiveStatus[];
let hints: string[];
let connects: number;
let live: LiveSocket;
const newest = () => FakeSocket.made.at(-1) as FakeSocket;
const state = () => statuses.at(-1)?.state;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  FakeSocket.made = [];
  statuses = [];
  hints = [];
  connects = 0;
  live = new LiveSocket(
    "ws://portal/ws/live/",
    {
      onStatus: (status) => statuses.push(status),
      onHint: (topic) => hints.push(topic),
      onConnect: () => {
        connects += 1;
      },
    },
    () => new FakeSocket() as unknown as WebSocket,
  );
});

afterEach(() => {
  live.stop();
  vi.useRealTimers();
});

describe("the live socket", () => {
  it("is live only once the server has confirmed the subscription, and then has everything read again", () => {
    live.subscribe(["overview"]);
    live.start();
    newest().opens();
    expect(newest().sent).toEqual([{ subscribe: ["overview"] }]);
    expect(connects).toBe(0);
    newest().says({ subscribed: ["overview"], refused: [] });
    expect(state()).toBe("live");
    expect(connects).toBe(1);
  });

  it("passes on hints and nothing else", () => {
    live.start();
    newest().goesLive();
    newest().says({ topic: "run:12", version: 57, at: "x" });
    newest().says({ ping: 1 });
    newest().onmessage?.({ data: "not json" });
    expect(hints).toEqual(["run:12"]);
  });

  it("says since when it is not live, through all attempts to come back", () => {
    live.start();
    newest().goesLive();
    vi.advanceTimersByTime(5000);
    newest().breaks();
    expect(statuses.at(-1)).toEqual({ state: "lost", since_ms: 1_005_000 });
    vi.advanceTimersByTime(500);
    newest().breaks();
    vi.advanceTimersByTime(1000);
    newest().breaks();
    expect(statuses.at(-1)).toEqual({ state: "lost", since_ms: 1_005_000 });
  });

  it("comes back by itself, subscribes to everything anew and has everything read again", () => {
    live.subscribe(["run:1", "overview"]);
    live.start();
    newest().goesLive();
    newest().breaks();
    vi.advanceTimersByTime(500);
    expect(FakeSocket.made).toHaveLength(2);
    newest().goesLive();
    expect(newest().sent).toEqual([{ subscribe: ["run:1", "overview"] }]);
    expect(state()).toBe("live");
    expect(connects).toBe(2);
  });

  it("waits longer after each failure, up to 15 s", () => {
    live.start();
    for (const wait of [500, 1000, 2000, 4000, 8000, 15_000, 15_000]) {
      const before = FakeSocket.made.length;
      newest().breaks();
      vi.advanceTimersByTime(wait - 1);
      expect(FakeSocket.made).toHaveLength(before);
      vi.advanceTimersByTime(1);
      expect(FakeSocket.made).toHaveLength(before + 1);
    }
  });

  it("begins with short waits again after it was connected", () => {
    live.start();
    newest().breaks();
    vi.advanceTimersByTime(500);
    newest().breaks();
    vi.advanceTimersByTime(1000);
    newest().goesLive();
    newest().breaks();
    vi.advanceTimersByTime(500);
    expect(FakeSocket.made).toHaveLength(4);
  });

  it("takes a silent line for dead although the browser believes in it", () => {
    live.start();
    const first = newest();
    first.goesLive();
    vi.advanceTimersByTime(SILENCE_MS - 1);
    first.says({ ping: 1 });
    vi.advanceTimersByTime(SILENCE_MS - 1);
    expect(state()).toBe("live");
    vi.advanceTimersByTime(1);
    expect(first.closedByUs).toBe(true);
    expect(state()).toBe("lost");
    vi.advanceTimersByTime(500);
    expect(FakeSocket.made).toHaveLength(2);
  });

  it("gives up a connection attempt that never answers", () => {
    live.start();
    vi.advanceTimersByTime(SILENCE_MS);
    expect(state()).toBe("lost");
    vi.advanceTimersByTime(500);
    expect(FakeSocket.made).toHaveLength(2);
  });

  it("was never live where hints can't reach the server from the start, and does not say since 1970", () => {
    live.start();
    vi.advanceTimersByTime(2000);
    newest().breaks(NOT_LIVE_CODE);
    expect(statuses.at(-1)).toEqual({ state: "lost", since_ms: 1_002_000 });
  });

  it("is not live when hints can't reach the server, since the last ping that came their way, and reads all after", () => {
    live.start();
    newest().goesLive();
    vi.advanceTimersByTime(5000);
    newest().says({ ping: 1 });
    vi.advanceTimersByTime(9000);
    newest().breaks(NOT_LIVE_CODE);
    expect(statuses.at(-1)).toEqual({ state: "lost", since_ms: 1_005_000 });
    vi.advanceTimersByTime(500);
    newest().breaks();
    expect(state()).toBe("lost");
    vi.advanceTimersByTime(1000);
    newest().goesLive();
    expect(state()).toBe("live");
    expect(connects).toBe(2);
  });

  it("reads everything again when it is told that hints were lost", () => {
    live.start();
    newest().goesLive();
    newest().says({ resync: true });
    expect(state()).toBe("live");
    expect(connects).toBe(2);
    expect(hints).toEqual([]);
  });

  it("does not try again when the session has ended", () => {
    live.start();
    newest().goesLive();
    newest().breaks(SIGNED_OUT_CODE);
    expect(state()).toBe("signed_out");
    vi.advanceTimersByTime(600_000);
    live.wake();
    expect(FakeSocket.made).toHaveLength(1);
  });

  it("tries at once when the computer wakes up", () => {
    live.start();
    newest().breaks();
    vi.advanceTimersByTime(10);
    live.wake();
    expect(FakeSocket.made).toHaveLength(2);
    vi.advanceTimersByTime(600);
    expect(FakeSocket.made).toHaveLength(2);
  });

  it("leaves a topic only when its last reader has gone", () => {
    live.start();
    newest().goesLive();
    const first = live.subscribe(["run:1"]);
    const second = live.subscribe(["run:1", "plan:2"]);
    first();
    first();
    second();
    expect(newest().sent.slice(1)).toEqual([
      { subscribe: ["run:1"] },
      { subscribe: ["plan:2"] },
      { unsubscribe: ["run:1", "plan:2"] },
    ]);
  });

  it("is silent after it was stopped", () => {
    live.start();
    const socket = newest();
    socket.goesLive();
    live.stop();
    expect(socket.closedByUs).toBe(true);
    vi.advanceTimersByTime(600_000);
    expect(FakeSocket.made).toHaveLength(1);
  });

  it("survives a browser that refuses to make a socket", () => {
    const refusing = new LiveSocket(
      "ws://portal/",
      { onStatus: (status) => statuses.push(status), onHint: () => {}, onConnect: () => {} },
      () => {
        throw new Error("insecure");
      },
    );
    refusing.start();
    expect(state()).toBe("lost");
    refusing.stop();
  });
});
