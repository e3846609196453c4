import { describe, expect, it } from "vitest";
import { tableAddress } from "./address";

describe("the address of a table as a file", () => {
  it("names what is chosen and nothing else", () => {
    expect(tableAddress("/pairs/3/images", { verdict: "", q: "" })).toBe("/api/v1/pairs/3/images.csv");
    expect(tableAddress("/sites/site-a/vms", { protection: "copy", q: "a&b" })).toBe(
      "/api/v1/sites/site-a/vms.csv?protection=copy&q=a%26b",
    );
  });
});
