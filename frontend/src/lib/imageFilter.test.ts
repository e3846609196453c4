import { describe, expect, it } from "vitest";
import { imageTableAddress } from "./imageFilter";

describe("the address of the table", () => {
  it("names what is chosen and nothing else", () => {
    expect(imageTableAddress(3, { verdict: "", q: "" })).toBe("/api/v1/pairs/3/images.csv");
    expect(imageTableAddress(3, { verdict: "protected", q: "a&b" })).toBe(
      "/api/v1/pairs/3/images.csv?verdict=protected&q=a%26b",
    );
  });
});
