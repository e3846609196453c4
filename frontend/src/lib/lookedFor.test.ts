import { expect, it } from "vitest";
import { lookedForOf, lookedForText } from "./lookedFor";

it("reads one address a line, and writes the same again", () => {
  const text = "10.0.0.5:3300 monitor 1\n[fd00::5]:22 a host";
  const { found, wrong } = lookedForOf(`\n${text}\n  `);
  expect(wrong).toBe("");
  expect(found).toEqual([
    { what: "monitor 1", host: "10.0.0.5", port: 3300 },
    { what: "a host", host: "fd00::5", port: 22 },
  ]);
  expect(lookedForText(found)).toBe(text);
});

it("names the line that is none", () => {
  expect(lookedForOf("10.0.0.5 monitor").wrong).toContain("10.0.0.5 monitor");
  expect(lookedForOf("10.0.0.5:22").wrong).toContain("10.0.0.5:22");
});
