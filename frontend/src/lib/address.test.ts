import { describe, expect, it } from "vitest";
import { isUnder, tableAddress } from "./address";

describe("the address of a table as a file", () => {
  it("names what is chosen and nothing else", () => {
    expect(tableAddress("/pairs/3/images", { verdict: "", q: "" })).toBe("/api/v1/pairs/3/images.csv");
    expect(tableAddress("/sites/site-a/vms", { protection: "copy", q: "a&b" })).toBe(
      "/api/v1/sites/site-a/vms.csv?protection=copy&q=a%26b",
    );
  });
});

describe("the place in the navigation of a page", () => {
  const places = ["/", "/runs", "/reviews", "/sites"];
  it.each([
    ["/", "/"],
    ["/runs", "/runs"],
    ["/runs/7", "/runs"],
    ["/runs/7/review", "/reviews"],
    ["/reviews", "/reviews"],
    ["/sites/site-a/edit", "/sites"],
  ])("%s is under %s alone", (page, place) => {
    expect(places.filter((one) => isUnder(page, one))).toEqual([place]);
  });
});
