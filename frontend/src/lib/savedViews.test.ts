// @vitest-environment jsdom
import { beforeEach, expect, it, vi } from "vitest";
import { keepViews, savedViews, viewOf, withView } from "./savedViews";

beforeEach(() => window.localStorage.clear());

it("keeps views per person and table", () => {
  expect(keepViews("olga", "images", [{ name: "Behind", search: "verdict=behind" }])).toBe(true);
  expect(savedViews("olga", "images")).toEqual([{ name: "Behind", search: "verdict=behind" }]);
  expect(savedViews("olga", "vms")).toEqual([]);
  expect(savedViews("otto", "images")).toEqual([]);
});

it("puts up with what it cannot read, and says when nothing is kept", () => {
  window.localStorage.setItem("drportal.views.olga.images", "{");
  expect(savedViews("olga", "images")).toEqual([]);
  window.localStorage.setItem("drportal.views.olga.images", '[{"name": 3}, {"name": "a", "search": "q=1"}]');
  expect(savedViews("olga", "images")).toEqual([{ name: "a", search: "q=1" }]);
  vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new Error("full");
  });
  expect(keepViews("olga", "images", [])).toBe(false);
});

it("has one view of a name, in the order of names", () => {
  const views = withView(withView([], { name: "b", search: "1" }), { name: "a", search: "2" });
  expect(withView(views, { name: "b", search: "3" })).toEqual([
    { name: "a", search: "2" },
    { name: "b", search: "3" },
  ]);
});

it("is the filter and nothing that is open", () => {
  expect(viewOf(new URLSearchParams("verdict=behind&image=7&q=&pair=2"), ["pair", "verdict", "q"])).toBe(
    "pair=2&verdict=behind",
  );
});
