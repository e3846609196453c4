// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen, within } from "@testing-library/react";
import type { ReactNode } from "react";
import { MemoryRouter } from "react-router";
import { afterEach, describe, expect, it } from "vitest";
import { pairsQuery, sessionQuery } from "../api/queries";
import type { Access, Pair, Person, PlanSummary, Site } from "../api/types";
import { GiveCard } from "./access/GiveCard";
import { PeopleCard } from "./access/PeopleCard";
import { Doors } from "./plans/Doors";
import { ConnectionTestCard } from "./sites/ConnectionTestCard";

type Right = Person["rights"][number];

const right = (permission: Right["permission"], far: Partial<Right>): Right => ({
  permission,
  everywhere: false,
  pairs: [],
  plans: [],
  ...far,
});

const person = (rights: Right[]): Person => ({
  username: "olga",
  name: "Olga",
  roles: ["operator"],
  permissions: rights.map((one) => one.permission),
  rights,
  proofs: ["password"],
  factor_missing: false,
  sign_out_at: "",
});

const pair = (id: number, a: string, b: string) =>
  ({ id, a, b, pools: [], polled_at: null, discovered_at: null, discovery: { state: "idle" } }) as unknown as Pair;

const PAIRS = [pair(3, "site-a", "site-b"), pair(4, "site-a", "site-c")];

function show(me: Person, page: ReactNode) {
  const client = new QueryClient({ defaultOptions: { queries: { staleTime: Number.POSITIVE_INFINITY } } });
  client.setQueryData(sessionQuery.queryKey, { user: me } as never);
  client.setQueryData(pairsQuery.queryKey, { items: PAIRS });
  render(
    <QueryClientProvider client={client}>
      <MemoryRouter>{page}</MemoryRouter>
    </QueryClientProvider>,
  );
}

const offered = (name: string | RegExp) => {
  const found = screen.getByRole(/Planned/.test(String(name)) ? "link" : "button", { name });
  return found.getAttribute("aria-disabled") !== "true";
};

afterEach(cleanup);

describe("an operator of one plan", () => {
  const plan = (id: number) =>
    ({ id, active_run_id: null, next_kinds: [{ kind: "planned_failover", possible: true }] }) as unknown as PlanSummary;

  it("is offered that plan's doors and not those of another", () => {
    show(person([right("run", { plans: [7] })]), <Doors plan={plan(7)} />);
    expect(screen.getByRole("link", { name: /Planned failover/ }).getAttribute("href")).toContain("plan=7");
    cleanup();
    show(person([right("run", { plans: [7] })]), <Doors plan={plan(8)} />);
    const door = screen.getByText(/Planned failover/).closest("a, button");
    expect(door?.getAttribute("aria-disabled")).toBe("true");
  });
});

describe("an administrator of one pair", () => {
  const me = person([right("sites", { pairs: [3] }), right("discover", { pairs: [3] })]);
  const site = (slug: string) => ({ slug, name: slug }) as unknown as Site;

  it("tests the site of that pair alone, and not one that another pair has too", () => {
    show(me, <ConnectionTestCard site={site("site-b")} />);
    expect(offered("Test the connection")).toBe(true);
    cleanup();
    show(me, <ConnectionTestCard site={site("site-a")} />);
    expect(offered("Test the connection")).toBe(false);
  });
});

describe("the page Access", () => {
  const grant = { id: 1, role: "operator", where: "plan shop", given_by: "ada", reason: "night shift", over: false };
  const held = { pair_id: null, plan_id: 7, given_at: "2026-11-23T03:59:48Z", until: null };
  const access = {
    permissions: [],
    roles: [{ role: "viewer", why: "", permissions: [] }],
    people: [
      { username: "olga", name: "Olga", active: true, grants: [{ ...grant, ...held, may_take: false }] },
      { username: "pia", name: "pia", active: true, grants: [{ ...grant, ...held, id: 2, may_take: true }] },
      { username: "new", name: "new", active: true, grants: [] },
    ],
    scopes: [{ where: "plan shop", pair_id: null, plan_id: 7 }],
  } as unknown as Access;

  it("says who holds what, where and why, and lets nobody take their own", () => {
    show(person([right("rights", { plans: [7] })]), <PeopleCard access={access} />);
    const rows = screen.getAllByRole("row").slice(1);
    expect(rows.map((row) => row.textContent?.replace(/\s+/g, " "))).toEqual([
      expect.stringContaining("Olga (olga) operatorplan shopada"),
      expect.stringContaining("night shift"),
      expect.stringContaining("Nothing: may sign in"),
    ]);
    const take = rows.slice(0, 2).map((row) => within(row).getByRole("button").getAttribute("aria-disabled"));
    expect(take).toEqual(["true", null]);
  });

  it("offers neither one's own name nor a scope beyond one's own", () => {
    show(person([right("rights", { plans: [7] })]), <GiveCard access={access} />);
    const names = within(screen.getByLabelText("Person")).getAllByRole("option");
    expect(names.map((one) => one.textContent)).toEqual(["Choose", "pia", "new"]);
    const places = within(screen.getByLabelText("Where")).getAllByRole("option");
    expect(places.map((one) => one.textContent)).toEqual(["plan shop"]);
    expect(offered("Give the role")).toBe(false);
  });
});
