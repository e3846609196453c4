import { describe, expect, it } from "vitest";
import { age_s, agoWords, durationWords, elapsedWords, spanWords, utcWords } from "./time";

describe("ages", () => {
  it("counts from the time given to the portal's now", () => {
    expect(age_s("2026-11-23T04:00:00Z", Date.parse("2026-11-23T04:00:12Z"))).toBe(12);
  });

  it("rounds down, so that nothing looks fresher or older than the unit says", () => {
    expect(spanWords(119.9)).toBe("119 s");
    expect(spanWords(120)).toBe("2 min");
    expect(spanWords(7199)).toBe("119 min");
    expect(spanWords(7200)).toBe("2 h");
    expect(spanWords(172_800)).toBe("2 d");
  });

  it("says so when a time lies in the future, instead of calling it fresh", () => {
    expect(agoWords(-90)).toBe("90 s in the future");
    expect(agoWords(-1)).toBe("0 s ago");
  });

  it("does not call an unreadable time fresh", () => {
    expect(agoWords(age_s("yesterday", 0))).toBe("at an unknown time");
  });
});

describe("durations", () => {
  it("shows minutes and hours as a clock does", () => {
    expect(elapsedWords(7.9)).toBe("0:07");
    expect(elapsedWords(271)).toBe("4:31");
    expect(elapsedWords(3729)).toBe("1:02:09");
    expect(elapsedWords(-3)).toBe("0:00");
  });

  it("keeps hundredths of short commands", () => {
    expect(durationWords(0.314)).toBe("0.31 s");
    expect(durationWords(12.7)).toBe("12 s");
    expect(durationWords(null)).toBe("");
  });

  it("writes UTC with its zone", () => {
    expect(utcWords("2026-11-23T05:01:02+01:00")).toBe("2026-11-23 04:01:02 UTC");
  });
});
