import { describe, expect, it } from "vitest";
import { exportAddress, fieldsOf, filled, localInput, utcOfInput } from "./trailFilter";

describe("filters of the trail", () => {
  it("are read from the address, and what is not a filter is left there", () => {
    const fields = fieldsOf(new URLSearchParams("actor=olga&before=7"));
    expect(filled(fields)).toEqual({ actor: "olga" });
  });

  it("leave out what is empty or blank", () => {
    expect(filled({ actor: "  ", text: " a b " })).toEqual({ text: "a b" });
  });

  it("keep a time through the form and back, to the minute", () => {
    expect(utcOfInput(localInput("2026-11-23T04:05:00.000Z"))).toBe("2026-11-23T04:05:00.000Z");
    expect(localInput("")).toBe("");
    expect(utcOfInput("nonsense")).toBe("");
  });

  it("go into the export's address, escaped", () => {
    const fields = { since: "", until: "", actor: "", action: "", site: "", run: "", text: "" };
    expect(exportAddress(fields)).toBe("/api/v1/audit/export");
    expect(exportAddress({ ...fields, text: "a&b" })).toBe("/api/v1/audit/export?text=a%26b");
  });
});
