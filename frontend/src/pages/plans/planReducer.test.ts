import { describe, expect, it } from "vitest";
import type { Vm } from "../../api/types";
import {
  NEW_PLAN,
  networksUsed,
  type PlanAction,
  type PlanDraft,
  planBody,
  planReducer,
  whyNotSave,
} from "./planReducer";

const written = (...actions: PlanAction[]): PlanDraft => actions.reduce(planReducer, NEW_PLAN);
const home: PlanAction = { type: "home", pairId: 1, site: "site-a" };
const vm = (id: number, ...networks: [number, string][]) =>
  ({ id, name: `vm-${id}`, nics: networks.map(([network_id, network]) => ({ network_id, network })) }) as unknown as Vm;

describe("writing a plan", () => {
  it("calls the group like the plan until somebody says otherwise", () => {
    expect(written({ type: "name", text: "web" }).groupName).toBe("web");
    const own = written(
      { type: "name", text: "web" },
      { type: "group", text: "shop" },
      { type: "name", text: "web-2" },
    );
    expect(own).toMatchObject({ name: "web-2", groupName: "shop" });
  });

  it("gives a new member the middle priority and forgets one that is taken out", () => {
    const chosen = written(
      home,
      { type: "member", vmId: 7, isMember: true },
      { type: "priority", vmId: 7, priority: 1 },
    );
    expect(chosen.priorities.get(7)).toBe(1);
    expect(planReducer(chosen, { type: "member", vmId: 7, isMember: true }).priorities.get(7)).toBe(1);
    expect(planReducer(chosen, { type: "member", vmId: 7, isMember: false }).priorities.size).toBe(0);
    expect(written(home, { type: "member", vmId: 8, isMember: true }).priorities.get(8)).toBe(3);
  });

  it("drops members and networks when the home changes, because they are of the old one", () => {
    const draft = written(
      { type: "name", text: "web" },
      home,
      { type: "member", vmId: 7, isMember: true },
      { type: "network", from: "3", to: 5 },
    );
    expect(planReducer(draft, home)).toBe(draft);
    const moved = planReducer(draft, { type: "home", pairId: 1, site: "site-b" });
    expect(moved).toMatchObject({ name: "web", homeSite: "site-b", networks: {} });
    expect(moved.priorities.size).toBe(0);
  });

  it("maps a network and unmaps it", () => {
    expect(written({ type: "network", from: "3", to: 5 }).networks).toEqual({ "3": 5 });
    expect(written({ type: "network", from: "3", to: 5 }, { type: "network", from: "3", to: null }).networks).toEqual(
      {},
    );
  });

  it("asks for the networks of chosen VMs only, each once", () => {
    const vms = [vm(1, [3, "office"], [4, "dmz"]), vm(2, [3, "office"]), vm(3, [9, "lab"])];
    const used = networksUsed(
      vms,
      new Map([
        [1, 3],
        [2, 3],
      ]),
    );
    expect([...used]).toEqual([
      ["3", "office"],
      ["4", "dmz"],
    ]);
  });

  it("sends what the API wants", () => {
    const draft = written({ type: "name", text: " web " }, home, { type: "member", vmId: 7, isMember: true });
    expect(planBody(draft)).toEqual({
      name: "web",
      group_name: "web",
      pair_id: 1,
      home_site: "site-a",
      members: [{ vm_id: 7, priority: 3 }],
      network_map: {},
      image_datastore_id: null,
      fence_rung: 2,
    });
  });

  it("says what is missing", () => {
    expect(whyNotSave(NEW_PLAN)).toContain("home");
    expect(whyNotSave(written(home))).toContain("name");
    expect(whyNotSave(written(home, { type: "name", text: "web" }))).toContain("VM");
    expect(whyNotSave(written(home, { type: "name", text: "web" }, { type: "member", vmId: 7, isMember: true }))).toBe(
      "",
    );
  });
});
