import type { Preview, Readiness } from "../../api/types";
import { requestKey } from "../../lib/requestKey";
import { count } from "../../lib/words";

/** What a person has said in the wizard so far. What the sites and the plan say comes from the portal, never from here. */
export type MoveState = {
  planId: number | null;
  acceptWarnings: boolean;
  reason: string;
  /** Why what cannot be saved may be discarded; only where the preview asks. */
  discardReason: string;
  /** Why it goes on below the fence rung that the plan wants; only where the preview asks. */
  deviation: string;
  /** Of a reprotect, what becomes of what is nowhere else: for all images (null: as the portal proposes), and of some. */
  salvage: Salvage;
  typed: string;
  /** One key per intent: pressing the button twice, or again after a lost answer, gives the same run. */
  requestKey: string;
};

export type SalvageWay = Preview["salvage_ways"][number]["way"];
export type Salvage = { way: SalvageWay | null; images: ReadonlyMap<number, SalvageWay> };
export const NO_SALVAGE: Salvage = { way: null, images: new Map() };

export type MoveAction =
  | { type: "choose"; planId: number }
  | { type: "accept"; accept: boolean }
  | { type: "reason"; text: string }
  | { type: "discard_reason"; text: string }
  | { type: "deviation"; text: string }
  | { type: "salvage"; way: SalvageWay }
  /** Null: as all others. */
  | { type: "salvage_of"; imageId: number; way: SalvageWay | null }
  | { type: "typed"; text: string }
  /** The plan or the readiness is not what was looked at any more: nothing that was confirmed counts. */
  | { type: "look_again" };

export function newMove(planId: number | null): MoveState {
  return {
    planId,
    acceptWarnings: false,
    reason: "",
    discardReason: "",
    deviation: "",
    salvage: NO_SALVAGE,
    typed: "",
    requestKey: requestKey(),
  };
}

export function moveReducer(state: MoveState, action: MoveAction): MoveState {
  switch (action.type) {
    case "choose":
      return action.planId === state.planId ? state : { ...newMove(action.planId), reason: state.reason };
    case "accept":
      return { ...state, acceptWarnings: action.accept };
    case "reason":
      return { ...state, reason: action.text };
    case "discard_reason":
      return { ...state, discardReason: action.text };
    case "deviation":
      return { ...state, deviation: action.text };
    case "salvage":
      return { ...state, salvage: { ...state.salvage, way: action.way } };
    case "salvage_of": {
      const images = new Map(state.salvage.images);
      if (action.way === null) images.delete(action.imageId);
      else images.set(action.imageId, action.way);
      return { ...state, salvage: { ...state.salvage, images } };
    }
    case "typed":
      return { ...state, typed: action.text };
    case "look_again":
      return { ...newMove(state.planId), reason: state.reason };
  }
}

export const warningsOf = (readiness: Readiness) => readiness.findings.filter((found) => found.severity === "warn");
export const blockersOf = (readiness: Readiness) => readiness.findings.filter((found) => found.severity === "block");

/** Why the wizard stays at readiness; empty when it may go on. The portal decides again when the run is asked for. */
export function whyNotReady(state: MoveState, readiness: Readiness | undefined): string {
  if (!readiness) return "The sites have not answered yet.";
  if (readiness.state !== "ready") {
    const blockers = blockersOf(readiness).length;
    return blockers > 0 ? `${count(blockers, "finding")} in the way.` : "It cannot be told whether it is ready.";
  }
  const warnings = warningsOf(readiness).length;
  if (warnings > 0 && !state.acceptWarnings) return `${count(warnings, "warning")} to accept first.`;
  return "";
}

/** Why the run cannot be started; empty when everything has been said. */
export function whyNotStart(state: MoveState, readiness: Readiness | undefined, preview: Preview | undefined): string {
  const unready = whyNotReady(state, readiness);
  if (unready) return unready;
  if (!preview) return "The commands have not been read yet.";
  if (state.reason.trim() === "") return "Say why: the reason goes into the trail.";
  if (preview.discard_question && state.discardReason.trim() === "") return "Say why it may be discarded.";
  if (preview.fence_question && state.deviation.trim() === "") return "Say why it goes on with less of a fence.";
  if (state.typed.trim() !== preview.phrase) return "Type the phrase first.";
  return "";
}
