import { describe, expect, it } from "vitest";
import { isFarAway, learned, newChain, PAGE_ROWS, pagesToRead } from "./pageChain";

describe("the pages to read", () => {
  it("are those in sight", () => {
    expect(pagesToRead(0, 30, 1)).toEqual([0]);
    expect(pagesToRead(PAGE_ROWS - 5, PAGE_ROWS + 5, 9)).toEqual([0, 1]);
    expect(pagesToRead(3 * PAGE_ROWS, 3 * PAGE_ROWS + 20, 9)).toEqual([3]);
  });
  it("lead there one by one where the way is not known yet", () => {
    expect(pagesToRead(50 * PAGE_ROWS, 50 * PAGE_ROWS + 20, 1)).toEqual([0]);
    expect(pagesToRead(50 * PAGE_ROWS, 50 * PAGE_ROWS + 20, 7)).toEqual([6]);
    expect(pagesToRead(6 * PAGE_ROWS, 7 * PAGE_ROWS, 7)).toEqual([6]);
  });
});

describe("rows that are far away", () => {
  it("are more than a page behind what is known", () => {
    expect(isFarAway(2 * PAGE_ROWS, 1)).toBe(true);
    expect(isFarAway(2 * PAGE_ROWS - 1, 1)).toBe(false);
    expect(isFarAway(99 * PAGE_ROWS, 100)).toBe(false);
  });
});

describe("what a page says of the next", () => {
  const three = learned(learned(newChain("x"), 0, "b"), 1, "c");
  it("is kept", () => {
    expect(three.cursors).toEqual(["", "b", "c"]);
    expect(learned(three, 2, null)).toBe(three);
    expect(learned(three, 2, undefined)).toBe(three);
    expect(learned(three, 1, "c")).toBe(three);
  });
  it("makes what came after it unknown when it has changed", () => {
    expect(learned(three, 0, "a").cursors).toEqual(["", "a"]);
    expect(learned(three, 0, null).cursors).toEqual([""]);
  });
  it("counts for nothing when the page itself is not in the list any more", () => {
    expect(learned(newChain("x"), 4, "z").cursors).toEqual([""]);
  });
});
