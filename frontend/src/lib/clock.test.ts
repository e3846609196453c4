import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

let learnServerTime: typeof import("./clock").learnServerTime;
let now_ms: typeof import("./clock").now_ms;

const BROWSER = Date.parse("2026-11-23T04:00:00Z");

describe("the portal's clock", () => {
  beforeEach(async () => {
    vi.resetModules();
    ({ learnServerTime, now_ms } = await import("./clock"));
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("corrects a browser that is five minutes slow, so that stale figures do not look fresh", () => {
    vi.useFakeTimers({ now: BROWSER });
    learnServerTime("Mon, 23 Nov 2026 04:05:00 GMT", BROWSER - 40);
    expect(now_ms()).toBe(BROWSER + 300_000);
  });

  it("corrects a browser that is five minutes fast", () => {
    vi.useFakeTimers({ now: BROWSER });
    learnServerTime("Mon, 23 Nov 2026 03:55:00 GMT", BROWSER - 40);
    expect(now_ms()).toBeLessThan(BROWSER - 296_000);
    expect(now_ms()).toBeGreaterThanOrEqual(BROWSER - 300_000);
  });

  it("leaves differences alone that the header's whole seconds explain", () => {
    vi.useFakeTimers({ now: BROWSER + 900 });
    learnServerTime("Mon, 23 Nov 2026 04:00:00 GMT", BROWSER + 880);
    expect(now_ms()).toBe(BROWSER + 900);
  });

  it("is not set back by an answer that took long: what was just read would be of the future", () => {
    vi.useFakeTimers({ now: BROWSER + 20_000 });
    learnServerTime("Mon, 23 Nov 2026 04:00:00 GMT", BROWSER);
    expect(now_ms()).toBe(BROWSER + 20_000);
  });

  it("ignores an answer without a readable date", () => {
    vi.useFakeTimers({ now: BROWSER });
    const before = now_ms();
    learnServerTime(null, BROWSER);
    learnServerTime("nonsense", BROWSER);
    expect(now_ms()).toBe(before);
  });
});
