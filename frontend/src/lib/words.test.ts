import { describe, expect, it } from "vitest";
import { cellWord, count, exposureWord, runStateWord, scheduleWords, sizeWords, upWords, verdictWord } from "./words";

describe("words", () => {
  it("show a code they do not know as it came, and never in green", () => {
    expect(verdictWord("brand_new")).toEqual({ word: "brand new", tone: "unsure" });
    expect(runStateWord("resting").tone).toBe("unsure");
  });

  it("say cannot tell where nothing was said", () => {
    expect(verdictWord(null)).toEqual({ word: "Cannot tell", tone: "unsure" });
  });

  it("never put an unclear or bad state in green", () => {
    for (const code of ["unknown", "cannot_tell", "failed", "not_met", "skipped", "waiting"]) {
      expect(cellWord(code).tone).not.toBe("good");
    }
    for (const code of ["two_primaries", "diverged", "suspect_primary", "handover_ready", "cannot_tell", "behind"]) {
      expect(verdictWord(code).tone).not.toBe("good");
    }
  });

  it("tell where a schedule is set, and call what is old not known", () => {
    const own = { known: true, text: "every 5m", level: "image" };
    expect(scheduleWords(own, "none")).toBe("every 5m, its own");
    expect(scheduleWords({ known: true, text: "", level: null, own: 2 }, "none")).toBe(
      "none; 2 images have a schedule of their own",
    );
    expect(scheduleWords({ ...own, known: false }, "none")).toBe("cannot tell; last told: every 5m, its own");
  });

  it("count things", () => {
    expect(count(1, "image")).toBe("1 image");
    expect(count(2, "entry", "entries")).toBe("2 entries");
  });

  it("show sizes in the unit that fits", () => {
    expect(sizeWords(10 * 2 ** 30)).toBe("10 GiB");
    expect(sizeWords(1.5 * 2 ** 20)).toBe("1.5 MiB");
    expect(sizeWords(null)).toBe("unknown");
  });

  it("never tell an exposure smaller than it is", () => {
    expect(upWords(11.2)).toBe("12 s");
    expect(upWords(121)).toBe("3 min");
    expect(upWords(7201)).toBe("3 h");
  });

  it("call an exposure good only within an agreed target", () => {
    expect(exposureWord({ kind: "measured", seconds: 30 }).tone).toBe("idle");
    expect(exposureWord({ kind: "measured", seconds: 30 }, 60)).toEqual({ word: "At most 30 s", tone: "good" });
    expect(exposureWord({ kind: "measured", seconds: 61 }, 60).tone).toBe("bad");
    expect(exposureWord({ kind: "unbounded", seconds: null }, 60)).toEqual({ word: "No bound", tone: "bad" });
    expect(exposureWord({ kind: "cannot_tell", seconds: null }, 60).tone).toBe("unsure");
  });
});
