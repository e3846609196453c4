// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it } from "vitest";
import { consequencesQuery, sessionQuery } from "../../api/queries";
import type { Console, Run } from "../../api/types";
import { RunConsole } from "./RunConsole";

const CONSOLE: Console = {
  vms: [
    { key: "1", name: "db-1", priority: 1, part: "failed", trouble: "Demote one/one-1 at Site A: It was refused." },
    { key: "2", name: "web-1", priority: 2, part: "waiting", trouble: "" },
  ],
  done: 1,
  priorities: [1],
};
const RUN = { id: 7, version: 4, plan: { id: 3, name: "shop" } } as unknown as Run;

function show(plans: number[]) {
  const client = new QueryClient({ defaultOptions: { queries: { staleTime: Number.POSITIVE_INFINITY } } });
  const right = { permission: "run", everywhere: false, pairs: [], plans };
  client.setQueryData(sessionQuery.queryKey, {
    user: { username: "olga", permissions: ["run"], rights: [right], proofs: [], roles: [] },
  } as never);
  client.setQueryData(consequencesQuery(7, 4, { choice: "hold", vms: ["1"], up_to: null }).queryKey, {
    goes_on: true,
    consequences: ["db-1 is on hold.", "web-1 no longer waits for db-1."],
  });
  render(
    <QueryClientProvider client={client}>
      <RunConsole run={RUN} console={CONSOLE} />
    </QueryClientProvider>,
  );
}

const button = (name: string) => screen.getByRole("button", { name });

afterEach(cleanup);

describe("the console of a run that rests with work left", () => {
  it("says how far each VM has come and why, and has those in trouble chosen", () => {
    show([3]);
    expect(screen.getByText("Demote one/one-1 at Site A: It was refused.")).toBeTruthy();
    expect((screen.getByRole("checkbox", { name: "Choose db-1" }) as HTMLInputElement).checked).toBe(true);
    expect(screen.queryByRole("checkbox", { name: "Choose web-1" })).toBeNull(); // folded: its turn has not come
    for (const name of ["Retry db-1", "Hold db-1", "Go on with priority 1", "Stop"]) {
      expect(button(name).getAttribute("aria-disabled")).not.toBe("true");
    }
  });

  it("shows what follows, in the portal's words, before the act", () => {
    show([3]);
    fireEvent.click(button("Hold db-1"));
    expect(screen.getByText("web-1 no longer waits for db-1.")).toBeTruthy();
    expect(screen.getAllByRole("button", { name: "Hold db-1" }).some((each) => !each.hasAttribute("disabled"))).toBe(
      true,
    );
  });

  it("lets nobody act before the consequences are there, or without the right", () => {
    show([3]);
    fireEvent.click(button("Stop"));
    expect(button("Stop run 7").hasAttribute("disabled")).toBe(true);
    cleanup();
    show([]);
    expect(button("Retry db-1").getAttribute("aria-disabled")).toBe("true");
  });
});
