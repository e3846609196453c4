// @vitest-environment jsdom
import { cleanup, render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, describe, expect, it, vi } from "vitest";
import { PageGuard } from "./PageGuard";

const reported: unknown[] = [];

/** As browsers have it: called as a method of anything but the window, it throws. */
function strictReportError(this: unknown, error: unknown) {
  if (this !== undefined && this !== globalThis) throw new TypeError("Illegal invocation");
  reported.push(error);
}

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function Broken(): never {
  throw new Error("no such column");
}

describe("a page that cannot be drawn", () => {
  it("says so in its own place, and tells the browser", () => {
    vi.stubGlobal("reportError", strictReportError);
    vi.spyOn(console, "error").mockImplementation(() => {});
    render(
      <MemoryRouter>
        <p>the menu</p>
        <PageGuard>
          <Broken />
        </PageGuard>
      </MemoryRouter>,
    );
    expect(screen.getByText("the menu")).toBeDefined();
    expect(screen.getByText("This page could not be drawn")).toBeDefined();
    expect(screen.getByText("Error: no such column")).toBeDefined();
    expect(reported.map(String)).toEqual(["Error: no such column"]);
  });
});
