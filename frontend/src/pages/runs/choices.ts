import type { ChoiceIn, Console, ConsoleVm } from "../../api/types";
import { count } from "../../lib/words";

/** What a person may choose for a run that rests with work left, and why not. What follows from it the portal says. */

export type Choice = ChoiceIn["choice"];

/** What a person would look at first: not those whose turn has only not come. */
export const troubled = (vms: ConsoleVm[]) => vms.filter((vm) => vm.part !== "waiting");

/** Before anybody has chosen: those in trouble, or all where nothing is. */
export function chosenAtFirst(vms: ConsoleVm[]): ReadonlySet<string> {
  const first = troubled(vms);
  return new Set((first.length > 0 ? first : vms).map((vm) => vm.key));
}

export type Offer = { choice: Choice; button: string; whyNot: string; wanted: ChoiceIn };

/** `chosen` may name VMs that are done meanwhile; `upTo` a priority that is no longer offered. */
export function offers(console: Console, chosen: ReadonlySet<string>, upTo: number | null): Offer[] {
  const vms = console.vms.filter((vm) => chosen.has(vm.key));
  const keys = vms.map((vm) => vm.key);
  const none = vms.length === 0 ? "Choose at least one VM first." : "";
  const held = none || (vms.every((vm) => vm.part === "on_hold") ? "They are on hold already." : "");
  const bound = upTo !== null && console.priorities.includes(upTo) ? upTo : null;
  return [
    {
      choice: "retry",
      button: `Retry ${these(vms)}`,
      whyNot: none,
      wanted: { choice: "retry", vms: keys, up_to: null },
    },
    { choice: "hold", button: `Hold ${these(vms)}`, whyNot: held, wanted: { choice: "hold", vms: keys, up_to: null } },
    {
      choice: "critical",
      button: bound === null ? "Go on with critical ones" : `Go on with ${upToWords(bound)}`,
      whyNot: bound === null ? "What is left has one priority only, or is on hold." : "",
      wanted: { choice: "critical", vms: [], up_to: bound },
    },
    { choice: "stop", button: "Stop", whyNot: "", wanted: { choice: "stop", vms: [], up_to: null } },
  ];
}

export const upToWords = (priority: number) => (priority === 1 ? "priority 1" : `priorities 1 to ${priority}`);

function these(vms: ConsoleVm[]): string {
  return vms.length === 1 ? (vms[0] as ConsoleVm).name : `these ${count(vms.length, "VM")}`;
}
