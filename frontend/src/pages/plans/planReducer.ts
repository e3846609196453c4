import type { Plan, PlanIn, Vm } from "../../api/types";

/** A plan as it is being written. Names of things are the portal's ids; what they are called comes from the inventory. */
export type PlanDraft = {
  name: string;
  groupName: string;
  pairId: number | null;
  homeSite: string;
  /** By the VM's id. */
  members: ReadonlyMap<number, Member>;
  /** Home network id -> peer network id. */
  networks: Readonly<Record<string, number>>;
  datastoreId: number | null;
  fenceRung: number;
};

/** A VM that can be chosen: what the form needs to know of it, wherever in the table it stands. */
export type Choice = Pick<Vm, "id" | "name" | "nics">;
/** `priority`: 1 (starts first) to 5. */
export type Member = Choice & { priority: number };

export type PlanAction =
  | { type: "name"; text: string }
  | { type: "group"; text: string }
  | { type: "home"; pairId: number; site: string }
  | { type: "choose"; vms: readonly Choice[] }
  | { type: "leave"; vmIds: readonly number[] }
  | { type: "priority"; vmIds: readonly number[]; priority: number }
  | { type: "network"; from: string; to: number | null }
  | { type: "datastore"; id: number | null }
  | { type: "fence"; rung: number };

export const PRIORITIES = [1, 2, 3, 4, 5];
export const DEFAULT_PRIORITY = 3;
export const MOST_VMS = 5000;

export const NEW_PLAN: PlanDraft = {
  name: "",
  groupName: "",
  pairId: null,
  homeSite: "",
  members: new Map(),
  networks: {},
  datastoreId: null,
  fenceRung: 2,
};

export function draftOf(plan: Plan, pairId: number): PlanDraft {
  return {
    name: plan.name,
    groupName: plan.group.name,
    pairId,
    homeSite: plan.home_site,
    members: new Map(plan.members.map(({ vm, priority }) => [vm.id, memberOf(vm, priority)])),
    networks: plan.network_map,
    datastoreId: plan.image_datastore_id,
    fenceRung: plan.fence_rung,
  };
}

const memberOf = ({ id, name, nics }: Choice, priority: number): Member => ({ id, name, nics, priority });

export function planReducer(draft: PlanDraft, action: PlanAction): PlanDraft {
  switch (action.type) {
    case "name":
      // The group is called like its plan until somebody says otherwise.
      return {
        ...draft,
        name: action.text,
        groupName: draft.groupName === draft.name ? action.text : draft.groupName,
      };
    case "group":
      return { ...draft, groupName: action.text };
    case "home":
      // Members and networks are of the old home: none of them means anything at another.
      if (draft.pairId === action.pairId && draft.homeSite === action.site) return draft;
      return {
        ...NEW_PLAN,
        name: draft.name,
        groupName: draft.groupName,
        pairId: action.pairId,
        homeSite: action.site,
      };
    case "choose": {
      const members = new Map(draft.members);
      for (const vm of action.vms) {
        if (!members.has(vm.id)) members.set(vm.id, memberOf(vm, DEFAULT_PRIORITY));
      }
      return { ...draft, members };
    }
    case "leave": {
      const members = new Map(draft.members);
      for (const id of action.vmIds) members.delete(id);
      return { ...draft, members };
    }
    case "priority": {
      const members = new Map(draft.members);
      for (const id of action.vmIds) {
        const member = members.get(id);
        if (member) members.set(id, { ...member, priority: action.priority });
      }
      return { ...draft, members };
    }
    case "network": {
      const { [action.from]: _dropped, ...rest } = draft.networks;
      return { ...draft, networks: action.to === null ? rest : { ...rest, [action.from]: action.to } };
    }
    case "datastore":
      return { ...draft, datastoreId: action.id };
    case "fence":
      return { ...draft, fenceRung: action.rung };
  }
}

/** The networks that the chosen VMs use at home, by id, each once. */
export function networksUsed(members: ReadonlyMap<number, Member>): Map<string, string> {
  const used = new Map<string, string>();
  for (const vm of members.values()) {
    for (const nic of vm.nics) {
      const id = nic.network_id;
      if (id !== undefined && id !== null) used.set(String(id), String(nic.network ?? id));
    }
  }
  return used;
}

export function planBody(draft: PlanDraft): PlanIn {
  return {
    name: draft.name.trim(),
    group_name: draft.groupName.trim(),
    pair_id: draft.pairId as number,
    home_site: draft.homeSite,
    members: [...draft.members.values()].map(({ id, priority }) => ({ vm_id: id, priority })),
    network_map: { ...draft.networks },
    image_datastore_id: draft.datastoreId,
    fence_rung: draft.fenceRung,
  };
}

/** Why the plan cannot be saved yet; empty when it can. */
export function whyNotSave(draft: PlanDraft): string {
  if (draft.pairId === null || !draft.homeSite) return "Choose where the VMs are at home.";
  if (draft.name.trim() === "") return "The plan needs a name.";
  if (draft.groupName.trim() === "") return "The group needs a name.";
  if (draft.members.size === 0) return "Choose at least one VM.";
  return tooMany(draft.members.size);
}

/** Why so many can't be in one plan; empty when they can. */
export function tooMany(chosen: number): string {
  if (chosen <= MOST_VMS) return "";
  return `A plan takes at most ${MOST_VMS} VMs, and ${chosen} are chosen. Make several plans.`;
}

/** By priority, and by name within it. */
export function inOrder(members: ReadonlyMap<number, Member>): Member[] {
  return [...members.values()].sort((a, b) => a.priority - b.priority || a.name.localeCompare(b.name));
}
