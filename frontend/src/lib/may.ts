import { useSuspenseQuery } from "@tanstack/react-query";
import { sessionQuery } from "../api/queries";
import type { Person } from "../api/types";

const NOBODY: Person = {
  username: "",
  name: "",
  roles: [],
  permissions: [],
  proofs: [],
  factor_missing: false,
  sign_out_at: "",
};

export function useMe(): Person {
  return useSuspenseQuery(sessionQuery).data.user ?? NOBODY;
}

const ROLES: Record<string, string> = {
  run: "an operator",
  plan: "an operator or an administrator",
  alerts: "an operator or an administrator",
  discover: "an operator or an administrator",
  audit: "an operator, an approver, a manager or an administrator",
  approve: "an approver",
  review: "a manager",
  sites: "an administrator",
};

/** Whether the person may; and if not, the sentence that says who can. The server decides again. */
export function useMay(permission: string): { may: boolean; whyNot: string } {
  const may = useMe().permissions.includes(permission);
  return { may, whyNot: may ? "" : `This needs ${ROLES[permission] ?? "another role"}.` };
}
