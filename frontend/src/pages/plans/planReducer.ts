import type { Plan, PlanIn, Vm } from "../../api/types";

/** A plan as it is being written. Names of things are the portal's ids; what they are called comes from the inventory. */
export type PlanDraft = {
  name: string;
  groupName: string;
  pairId: number | null;
  homeSite: string;
  /** VM id -> priority 1 (starts first) to 5. */
  priorities: ReadonlyMap<number, number>;
  /** Home network id -> peer network id. */
  networks: Readonly<Record<string, number>>;
  datastoreId: number | null;
  fenceRung: number;
};

export type PlanAction =
  | { type: "name"; text: string }
  | { type: "group"; text: string }
  | { type: "home"; pairId: number; site: string }
  | { type: "member"; vmId: number; isMember: boolean }
  | { type: "priority"; vmId: number; priority: number }
  | { type: "network"; from: string; to: number | null }
  | { type: "datastore"; id: number | null }
  | { type: "fence"; rung: number };

export const DEFAULT_PRIORITY = 3;

export const NEW_PLAN: PlanDraft = {
  name: "",
  groupName: "",
  pairId: null,
  homeSite: "",
  priorities: new Map(),
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
    priorities: new Map(plan.members.map(({ vm, priority }) => [vm.id, priority])),
    networks: plan.network_map,
    datastoreId: plan.image_datastore_id,
    fenceRung: plan.fence_rung,
  };
}

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
    case "member": {
      const priorities = new Map(draft.priorities);
      if (!action.isMember) priorities.delete(action.vmId);
      else if (!priorities.has(action.vmId)) priorities.set(action.vmId, DEFAULT_PRIORITY);
      return { ...draft, priorities };
    }
    case "priority":
      return { ...draft, priorities: new Map(draft.priorities).set(action.vmId, action.priority) };
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
export function networksUsed(vms: Vm[], priorities: ReadonlyMap<number, number>): Map<string, string> {
  const used = new Map<string, string>();
  for (const vm of vms) {
    if (!priorities.has(vm.id)) continue;
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
    members: [...draft.priorities].map(([vm_id, priority]) => ({ vm_id, priority })),
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
  if (draft.priorities.size === 0) return "Choose at least one VM.";
  return "";
}
