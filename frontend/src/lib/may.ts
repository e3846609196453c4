import { useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { pairsQuery, sessionQuery } from "../api/queries";
import type { Person } from "../api/types";

const NOBODY: Person = {
  username: "",
  name: "",
  roles: [],
  permissions: [],
  rights: [],
  proofs: [],
  factor_missing: false,
  sign_out_at: "",
};

export function useMe(): Person {
  return useSuspenseQuery(sessionQuery).data.user ?? NOBODY;
}

const ROLES: Record<string, string> = {
  test: "an operator, an approver or an administrator",
  run: "an operator",
  break_glass: "an operator",
  plan: "an operator or an administrator",
  alerts: "an operator or an administrator",
  discover: "an operator or an administrator",
  audit: "an operator, an approver, a manager or an administrator",
  approve: "an approver",
  review: "a manager",
  sites: "an administrator",
  rights: "an administrator",
  policy: "a manager or an administrator",
};

/** What an act is about. "anywhere": one of several things, each of which decides for itself; "somePair": a new plan. */
export type At = { plan: number } | { pair: number } | { pairs: number[] } | "everywhere" | "somePair" | "anywhere";

/** Whether the person may do it there, by the session's word on their rights. */
export function mayAt(me: Pick<Person, "rights">, permission: string, at: At): boolean {
  const right = me.rights.find((one) => one.permission === permission);
  if (!right) return false;
  if (right.everywhere || at === "anywhere") return right.everywhere || right.pairs.length + right.plans.length > 0;
  if (at === "everywhere") return false;
  if (at === "somePair") return right.pairs.length > 0;
  if ("plan" in at) return right.plans.includes(at.plan);
  const pairs = "pair" in at ? [at.pair] : at.pairs;
  return pairs.length > 0 && pairs.every((pair) => right.pairs.includes(pair));
}

/** Whether the person may; and if not, the sentence that says who can. The server decides again. */
export function useMay(permission: string, at: At = "anywhere"): { may: boolean; whyNot: string } {
  const me = useMe();
  const may = mayAt(me, permission, at);
  const elsewhere = !may && me.permissions.includes(permission);
  const able = ROLES[permission] ?? "another role";
  return {
    may,
    whyNot: may ? "" : elsewhere ? `You may do this elsewhere; here it needs ${able}.` : `This needs ${able}.`,
  };
}

/** The same at a site: it is in each of its pairs at once, and one without a pair is for who may everywhere. */
export function useMayAtSite(permission: string, slug: string): { may: boolean; whyNot: string } {
  const pairs = useQuery(pairsQuery).data?.items ?? [];
  return useMay(permission, { pairs: pairs.filter(({ a, b }) => [a, b].includes(slug)).map((pair) => pair.id) });
}
