import { expect, test } from "vitest";
import { lastQuarters, quarterFrom, quarterOf, quarterWord } from "./quarter";

test("a quarter begins with its first day, in UTC", () => {
  expect(quarterOf(Date.parse("2026-03-31T23:59:59Z"))).toEqual({ year: 2026, quarter: 1 });
  expect(quarterOf(Date.parse("2026-04-01T00:00:00Z"))).toEqual({ year: 2026, quarter: 2 });
});

test("the last ones go over the turn of the year", () => {
  const words = lastQuarters(Date.parse("2027-02-01T00:00:00Z"), 4).map(quarterWord);
  expect(words).toEqual(["2027 Q1", "2026 Q4", "2026 Q3", "2026 Q2"]);
});

test("a word is read back, and nothing else is", () => {
  expect(quarterFrom("2026 Q4")).toEqual({ year: 2026, quarter: 4 });
  expect(quarterFrom("2026 Q5")).toBeNull();
});
