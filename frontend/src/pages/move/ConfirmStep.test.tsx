// @vitest-environment jsdom
import { cleanup, render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Problem } from "../../api/client";
import { Refused } from "./ConfirmStep";

afterEach(cleanup);

describe("a refusal", () => {
  it("goes away without a fault where the browser answers a scroll with a promise, as Chromium does", () => {
    const scrolled = vi.fn(() => Promise.resolve());
    Element.prototype.scrollIntoView = scrolled as unknown as Element["scrollIntoView"];
    const { unmount } = render(
      <MemoryRouter>
        <Refused
          error={new Problem({ code: "run_active", detail: "Run 7 is under way.", run_id: 7 }, 409)}
          onLookAgain={() => {}}
        />
      </MemoryRouter>,
    );
    expect(screen.getByRole("alert").textContent).toContain("Run 7 is under way.");
    expect(scrolled).toHaveBeenCalled();
    expect(unmount).not.toThrow();
  });
});
