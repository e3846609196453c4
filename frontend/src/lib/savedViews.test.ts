import { expect, it } from "vitest";
import { viewOf } from "./savedViews";

it("is the filter and nothing that is open", () => {
  expect(viewOf(new URLSearchParams("verdict=behind&image=7&q=&pair=2"), ["pair", "verdict", "q"])).toBe(
    "pair=2&verdict=behind",
  );
});
