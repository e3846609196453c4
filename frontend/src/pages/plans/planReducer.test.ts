import { describe, expect, it } from "vitest";
import {
  type Choice,
  inOrder,
  MOST_VMS,
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
const vm = (id: number, ...networks: [number, string][]): Choice => ({
  id,
  name: `vm-${id}`,
  nics: networks.map(([network_id, network]) => ({ network_id, network })),
});
const choose = (...ids: number[]): PlanAction => ({ type: "choose", vms: ids.map((id) => vm(id)) });

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
    const chosen = written(home, choose(7), { type: "priority", vmIds: [7], priority: 1 });
    expect(chosen.members.get(7)?.priority).toBe(1);
    expect(planReducer(chosen, choose(7)).members.get(7)?.priority).toBe(1);
    expect(planReducer(chosen, { type: "leave", vmIds: [7] }).members.size).toBe(0);
    expect(written(home, choose(8)).members.get(8)?.priority).toBe(3);
  });

  it("takes all that fit at once, in and out, and gives those that are chosen a priority", () => {
    const many = written(home, choose(1, 2, 3, 4), { type: "priority", vmIds: [2, 4, 99], priority: 1 });
    expect(inOrder(many.members).map(({ id, priority }) => [id, priority])).toEqual([
      [2, 1],
      [4, 1],
      [1, 3],
      [3, 3],
    ]);
    expect([...planReducer(many, { type: "leave", vmIds: [1, 2, 99] }).members.keys()]).toEqual([3, 4]);
  });

  it("drops members and networks when the home changes, because they are of the old one", () => {
    const draft = written({ type: "name", text: "web" }, home, choose(7), { type: "network", from: "3", to: 5 });
    expect(planReducer(draft, home)).toBe(draft);
    const moved = planReducer(draft, { type: "home", pairId: 1, site: "site-b" });
    expect(moved).toMatchObject({ name: "web", homeSite: "site-b", networks: {} });
    expect(moved.members.size).toBe(0);
  });

  it("maps a network and unmaps it", () => {
    expect(written({ type: "network", from: "3", to: 5 }).networks).toEqual({ "3": 5 });
    expect(written({ type: "network", from: "3", to: 5 }, { type: "network", from: "3", to: null }).networks).toEqual(
      {},
    );
  });

  it("asks for the networks of chosen VMs only, each once", () => {
    const vms = [vm(1, [3, "office"], [4, "dmz"]), vm(2, [3, "office"])];
    const used = networksUsed(written(home, { type: "choose", vms }).members);
    expect([...used]).toEqual([
      ["3", "office"],
      ["4", "dmz"],
    ]);
  });

  it("sends what the API wants", () => {
    const draft = written({ type: "name", text: " web " }, home, choose(7));
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
    expect(whyNotSave(written(home, { type: "name", text: "web" }, choose(7)))).toBe("");
    const ids = Array.from({ length: MOST_VMS + 1 }, (_each, n) => n);
    expect(whyNotSave(written(home, { type: "name", text: "web" }, choose(...ids)))).toContain("at most 5000");
  });
});
