// @vitest-environment jsdom
import { cleanup, render, screen, within } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, describe, expect, it } from "vitest";
import type { Difference } from "../api/types";
import { ReceiptAlarms } from "./ReceiptAlarms";

const DIFFERENCE: Difference = {
  id: 4,
  site: "site-b",
  site_name: "Site-B",
  operation_id: "0b9f",
  word: "other_act",
  sentence: "The same operation has another approval in the two records.",
  ours: {
    verb: "force-promote",
    group: "shop",
    command: "rbd mirror image promote --force one/one-1",
    fence: 3000001,
    approvals: ["aaaa"],
    outcome: "done",
  },
  theirs: {
    verb: "force-promote",
    group: "mail",
    shown: "rbd mirror image promote --force one/one-2",
    fence: 3000002,
    approval: "ffff",
    state: "unknown",
  },
  run_id: 3,
  found_at: "2026-05-04T10:11:12Z",
  settled_at: null,
  settled_by: "",
  settled_because: "",
};

/** What stands in the two columns, row by row. */
function columns(difference: Difference): string[] {
  render(
    <MemoryRouter>
      <ReceiptAlarms differences={[difference]} />
    </MemoryRouter>,
  );
  const rows = within(screen.getByRole("grid", { name: "Both records of operation 0b9f" })).getAllByRole("row");
  return rows.slice(1).map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent).join(" | "));
}

afterEach(cleanup);

describe("a difference between a site's receipt and the trail", () => {
  it("is an alarm with both records beside each other", () => {
    expect(columns(DIFFERENCE)).toEqual([
      "Act | force-promote | force-promote",
      "Group | shop | mail",
      "Command | rbd mirror image promote --force one/one-1 | rbd mirror image promote --force one/one-2",
      "Fencing number | 3000001 | 3000002",
      "Approval | aaaa | ffff",
      "Outcome | done | unknown",
    ]);
    expect(screen.getByRole("heading", { name: /Site-B's own record and the trail differ/ })).toBeDefined();
    expect(screen.getByText(/The same operation has another approval/)).toBeDefined();
    expect(screen.getByRole("link", { name: "run 3" }).getAttribute("href")).toBe("/runs/3");
  });

  it("says where a side has no record, or nothing of it", () => {
    const gone = columns({ ...DIFFERENCE, theirs: null, ours: { ...DIFFERENCE.ours, approvals: [] } });
    expect(gone[4]).toBe("Approval | nothing | no record");
    expect(gone[5]).toBe("Outcome | done | no record");
  });
});
