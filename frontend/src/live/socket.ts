/**
 * One websocket for the page. It only delivers hints ("run:12 changed"); what is shown always comes from the API,
 * so a lost socket costs freshness and nothing else. After each (re)connect everything shown is fetched again.
 */

export type LiveState = "connecting" | "live" | "lost" | "signed_out";

export type LiveStatus = {
  state: LiveState;
  /** Browser time in ms since when it is in this state; for "lost", since a hint would last have arrived for sure. */
  since_ms: number;
};

export type LiveEvents = {
  onStatus: (status: LiveStatus) => void;
  /** Something named by this topic changed. */
  onHint: (topic: string) => void;
  /** Connected, perhaps again, or told that hints were lost on the way: some may have been missed. */
  onConnect: () => void;
};

/** The server pings every 5 s; after some missed ones the line is taken for dead, whatever the browser thinks. */
export const SILENCE_MS = 20_000;
export const SIGNED_OUT_CODE = 4401;
/** Hints can't reach the server's end of the socket (Redis does not answer), though the socket itself is well. */
export const NOT_LIVE_CODE = 4503;
const BACKOFF_MS = [500, 1000, 2000, 4000, 8000, 15_000];

type Connect = (url: string) => WebSocket;

export class LiveSocket {
  private readonly url: string;
  private readonly events: LiveEvents;
  private readonly connect: Connect;
  private socket: WebSocket | undefined;
  private topics = new Map<string, number>();
  private failures = 0;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private silenceTimer: ReturnType<typeof setTimeout> | undefined;
  private status: LiveStatus = { state: "connecting", since_ms: Date.now() };
  private stopped = true;
  private proven_ms = 0;

  constructor(url: string, events: LiveEvents, connect: Connect = (address) => new WebSocket(address)) {
    this.url = url;
    this.events = events;
    this.connect = connect;
  }

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.open();
  }

  stop(): void {
    this.stopped = true;
    this.dropSocket();
    clearTimeout(this.retryTimer);
  }

  /** Try at once, without waiting for the next attempt (the computer woke up, the network is back). */
  wake(): void {
    if (this.stopped || this.status.state === "live" || this.status.state === "signed_out") return;
    this.failures = 0;
    this.open();
  }

  /** Hear about these topics until the returned function is called. */
  subscribe(topics: string[]): () => void {
    const fresh = topics.filter((topic) => !this.topics.has(topic));
    for (const topic of topics) this.topics.set(topic, (this.topics.get(topic) ?? 0) + 1);
    if (fresh.length > 0) this.send({ subscribe: fresh });
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.unsubscribe(topics);
    };
  }

  private unsubscribe(topics: string[]): void {
    const gone: string[] = [];
    for (const topic of topics) {
      const holders = (this.topics.get(topic) ?? 0) - 1;
      if (holders > 0) this.topics.set(topic, holders);
      else if (this.topics.delete(topic)) gone.push(topic);
    }
    if (gone.length > 0) this.send({ unsubscribe: gone });
  }

  private open(): void {
    clearTimeout(this.retryTimer);
    this.dropSocket();
    let socket: WebSocket;
    try {
      socket = this.connect(this.url);
    } catch {
      this.failed();
      return;
    }
    this.socket = socket;
    this.watchSilence();
    socket.onopen = () => {
      this.failures = 0;
      this.heard();
      this.send({ subscribe: [...this.topics.keys()] });
    };
    socket.onmessage = (event) => this.receive(String(event.data));
    socket.onclose = (event) => this.closed(socket, event.code);
    socket.onerror = () => {};
  }

  private receive(text: string): void {
    this.watchSilence();
    let message: Record<string, unknown>;
    try {
      message = JSON.parse(text) as Record<string, unknown>;
    } catch {
      return;
    }
    // A ping comes the way that hints come: it shows that none is lost.
    if (typeof message.ping === "number") this.proven_ms = Date.now();
    if (typeof message.topic === "string") this.events.onHint(message.topic);
    if (message.resync === true) this.events.onConnect();
    if (Array.isArray(message.subscribed) && this.status.state !== "live") {
      // Only now can no hint be missed any more: what was read before may be old.
      this.proven_ms = Date.now();
      this.setStatus("live");
      this.events.onConnect();
    }
  }

  private closed(socket: WebSocket, code: number): void {
    if (socket !== this.socket) return;
    this.socket = undefined;
    clearTimeout(this.silenceTimer);
    if (this.stopped) return;
    if (code === SIGNED_OUT_CODE) {
      this.setStatus("signed_out");
      return;
    }
    this.failed((code === NOT_LIVE_CODE && this.proven_ms) || undefined);
  }

  private failed(since_ms?: number): void {
    this.setStatus("lost", since_ms);
    const wait_ms = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)] as number;
    this.failures += 1;
    clearTimeout(this.retryTimer);
    // A little apart from the others: after a restart of the portal every page comes back at once.
    this.retryTimer = setTimeout(() => this.open(), wait_ms * (0.75 + Math.random() / 2));
  }

  private heard(): void {
    this.watchSilence();
  }

  private watchSilence(): void {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(() => {
      this.dropSocket();
      this.failed(this.proven_ms || undefined);
    }, SILENCE_MS);
  }

  private dropSocket(): void {
    clearTimeout(this.silenceTimer);
    const socket = this.socket;
    this.socket = undefined;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }

  private send(message: unknown): void {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  private setStatus(state: LiveState, since_ms = Date.now()): void {
    // "lost since" means since it was first lost, through all attempts to come back.
    if (state === this.status.state) return;
    this.status = { state, since_ms };
    this.events.onStatus(this.status);
  }
}
