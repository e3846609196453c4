import { describe, expect, it } from "vitest";
import { spanWords, worstOf } from "./exposure";

const at = "2026-05-05T12:00:00Z";

describe("the figures of a curve", () => {
  it("take the worst of the spans they stand for", () => {
    const points = [
      { at, seconds: 10, unbounded: false, untold: false },
      { at: "2026-05-05T12:05:00Z", seconds: 90, unbounded: false, untold: false },
      { at: "2026-05-05T12:10:00Z", seconds: null, unbounded: false, untold: false },
    ];
    expect(worstOf(points)).toEqual({ at, seconds: 90, unbounded: false, untold: false });
  });

  it("say it when there was no bound, whatever else was measured", () => {
    const points = [
      { at, seconds: 10, unbounded: false, untold: false },
      { at, seconds: null, unbounded: true, untold: false },
    ];
    expect(worstOf(points).unbounded).toBe(true);
  });

  it("do not make up a figure where nobody looked", () => {
    expect(worstOf([{ at, seconds: null, unbounded: false, untold: false }]).seconds).toBeNull();
  });

  it("say in words when something had no bound or was not known, and the figure of the rest", () => {
    const span = { at, seconds: 12, unbounded: false, untold: false };
    expect(spanWords(span)).toBe("at most 12 s");
    expect(spanWords({ ...span, unbounded: true })).toBe("no bound; of the rest at most 12 s");
    expect(spanWords({ ...span, unbounded: true, untold: true, seconds: null })).toBe("no bound and not known");
    expect(spanWords({ ...span, untold: true, seconds: null })).toBe("not known");
    expect(spanWords({ ...span, seconds: null })).toBe("nobody looked");
  });
});
