import { describe, expect, it } from "vitest";
import type { ReadinessImage } from "../api/types";
import { blockersFirst, countsWords, progressOf, tallyOf, tallyWords, worstOf } from "./tally";

const gate = (outcome: string) => ({ gate: "G-PATH", outcome, sentence: outcome, checked_at: null, remedy: null });
const image = (id: number, ...outcomes: string[]): ReadinessImage => ({
  image_id: id,
  name: `one/one-${id}`,
  vm_name: "web",
  verdict: "protected",
  verdict_sentence: "",
  gates: outcomes.map(gate),
});

describe("folding", () => {
  it("folds 200 images into one line", () => {
    const outcomes = [...Array(186).fill("met"), ...Array(12).fill("not_met"), ...Array(2).fill("cannot_tell")];
    expect(tallyWords(tallyOf(outcomes))).toBe("186 met · 12 not met · 2 cannot tell");
  });

  it("never counts an outcome it does not know as met", () => {
    expect(tallyOf(["met", "maybe", ""])).toEqual({ met: 1, not_met: 0, cannot_tell: 2 });
  });

  it("shows missing numbers as nought", () => {
    expect(tallyWords({})).toBe("0 met · 0 not met · 0 cannot tell");
  });
});

describe("several gates together", () => {
  it("are as bad as the worst", () => {
    expect(worstOf([gate("met"), gate("cannot_tell"), gate("not_met")])).toBe("not_met");
    expect(worstOf([gate("met"), gate("cannot_tell")])).toBe("cannot_tell");
    expect(worstOf([gate("met"), gate("met")])).toBe("met");
  });

  it("are not met when there are none, or one has an outcome nobody knows", () => {
    expect(worstOf([])).toBe("cannot_tell");
    expect(worstOf([gate("met"), gate("fine")])).toBe("cannot_tell");
  });

  it("put what blocks first and say because of which gate", () => {
    const judged = blockersFirst([image(1, "met"), image(2, "met", "cannot_tell"), image(3, "not_met", "met")]);
    expect(judged.map((each) => each.image.image_id)).toEqual([3, 2, 1]);
    expect(judged[0]?.because?.outcome).toBe("not_met");
  });

  it("keep the order within the same outcome", () => {
    const judged = blockersFirst([image(5, "met"), image(4, "met"), image(9, "met")]);
    expect(judged.map((each) => each.image.image_id)).toEqual([5, 4, 9]);
  });
});

describe("progress", () => {
  it("counts done and skipped steps of all steps, rounded down", () => {
    expect(progressOf({ succeeded: 2, skipped: 1, failed: 1, pending: 3 })).toEqual({ done: 3, total: 7, percent: 42 });
    expect(progressOf({ succeeded: 199, pending: 1 }).percent).toBe(99);
  });

  it("of nothing is nought", () => {
    expect(progressOf({})).toEqual({ done: 0, total: 0, percent: 0 });
  });

  it("leaves out states that no step is in", () => {
    expect(countsWords({ succeeded: 3, failed: 0, running: 1 }, (code) => code.toUpperCase())).toBe(
      "3 succeeded · 1 running",
    );
  });
});
