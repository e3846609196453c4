import { describe, expect, it } from "vitest";
import { worstOf } from "./exposure";

const at = "2026-05-05T12:00:00Z";

describe("the figures of a curve", () => {
  it("take the worst of the spans they stand for", () => {
    const points = [
      { at, seconds: 10, unbounded: false },
      { at: "2026-05-05T12:05:00Z", seconds: 90, unbounded: false },
      { at: "2026-05-05T12:10:00Z", seconds: null, unbounded: false },
    ];
    expect(worstOf(points)).toEqual({ at, seconds: 90, unbounded: false });
  });

  it("say it when there was no bound, whatever else was measured", () => {
    const points = [
      { at, seconds: 10, unbounded: false },
      { at, seconds: null, unbounded: true },
    ];
    expect(worstOf(points).unbounded).toBe(true);
  });

  it("do not make up a figure where nobody looked", () => {
    expect(worstOf([{ at, seconds: null, unbounded: false }]).seconds).toBeNull();
  });
});
