import { answer, api, ifMatch } from "./client";
import type * as T from "./types";

/** Everything that changes something. Each is one request; none is repeated by itself. */

const inPath = <P>(path: P) => ({ params: { path } });

export const signIn = (username: string, password: string) =>
  answer(api.POST("/session", { body: { username, password } }));
export const signOut = () => answer(api.DELETE("/session"));

export const tokenCreate = (name: string, days: number, scope: string[]) =>
  answer(api.POST("/tokens", { body: { name, days, scope: scope as T.Permission[] } }));
export const tokenDelete = (id: number) => answer(api.DELETE("/tokens/{token_id}", inPath({ token_id: id })));
export const passwordChange = (password: string, new_password: string) =>
  answer(api.PUT("/session/password", { body: { password, new_password } }));
export const sessionRevoke = (id: number) => answer(api.DELETE("/sessions/{session_id}", inPath({ session_id: id })));

/** Half-way in, or showing again that it is you. The fields that are left out are the server's to fill. */
const given = (proof: T.Proof) => ({ body: { password: "", code: "", ...proof } });
export const prove = (proof: T.Proof) => answer(api.POST("/session/proof", given(proof)));
export const secondFactor = (proof: T.Proof) => answer(api.POST("/session/factor", { body: { code: "", ...proof } }));
export const keyChallenge = () => answer(api.POST("/session/key-challenge"));
export const toProvider = (back_to: string, again: boolean) =>
  answer(api.POST("/session/oidc", { body: { back_to, again } }));

export const appBegin = () => answer(api.POST("/factors/app/begin"));
export const appAdd = (code: string) => answer(api.POST("/factors/app", { body: { code } }));
export const keyBegin = () => answer(api.POST("/factors/keys/begin"));
export const keyAdd = (name: string, made: Record<string, unknown>) =>
  answer(api.POST("/factors/keys", { body: { name, answer: made } }));
export const keyRename = (id: number, name: string) =>
  answer(api.PATCH("/factors/{factor_id}", { ...inPath({ factor_id: id }), body: { name } }));
export const factorRemove = (id: number) => answer(api.DELETE("/factors/{factor_id}", inPath({ factor_id: id })));
export const recoveryRenew = () => answer(api.POST("/factors/recovery-codes"));

export const viewKeep = (table: string, name: string, search: string) =>
  answer(api.PUT("/views", { body: { table, name, search } }));
export const viewRemove = (id: number) => answer(api.DELETE("/views/{view_id}", inPath({ view_id: id })));

export const grantGive = (body: T.GrantIn) => answer(api.POST("/grants", { body }));
export const signOutOf = (username: string, reason: string, tokens: boolean) =>
  answer(api.POST("/access/sign-out", { body: { username, reason, tokens } }));
export const grantTake = (id: number, reason: string) =>
  answer(api.POST("/grants/{grant_id}/take", { ...inPath({ grant_id: id }), body: { reason } }));

export const siteCreate = (body: T.SiteIn) => answer(api.POST("/sites", { body }));
export const siteChange = (slug: string, version: number, body: T.SiteChange) =>
  answer(api.PATCH("/sites/{slug}", { ...inPath({ slug }), headers: ifMatch(version), body }));
export const siteDelete = (slug: string, version: number) =>
  answer(api.DELETE("/sites/{slug}", { ...inPath({ slug }), headers: ifMatch(version) }));
export const credentialSet = (slug: string, kind: string, value: string) =>
  answer(api.PUT("/sites/{slug}/credentials/{kind}", { ...inPath({ slug, kind }), body: { value } }));
export const connectionTest = (body: T.ConnectionTestIn) => answer(api.POST("/sites/connection-test", { body }));
export const hostKeysAccept = (slug: string, version: number, lines: string[]) =>
  answer(api.PUT("/sites/{slug}/host-keys", { ...inPath({ slug }), headers: ifMatch(version), body: { lines } }));

export const differenceSettle = (id: number, because: string) =>
  answer(
    api.POST("/receipts/differences/{difference_id}/settle", { ...inPath({ difference_id: id }), body: { because } }),
  );

export const pairCreate = (a: string, b: string, pools: string[]) =>
  answer(api.POST("/pairs", { body: { a, b, pools } }));
export const pairDiscover = (id: number) => answer(api.POST("/pairs/{pair_id}/discover", inPath({ pair_id: id })));

export const witnessCreate = (pair: number, body: T.WitnessIn) =>
  answer(api.POST("/pairs/{pair_id}/witnesses", { ...inPath({ pair_id: pair }), body }));
const ofPair = (pair: number, id: number) => inPath({ pair_id: pair, witness_id: id });
export const witnessTest = (pair: number, id: number) =>
  answer(api.POST("/pairs/{pair_id}/witnesses/{witness_id}/test", ofPair(pair, id)));
export const witnessKeysAccept = (pair: number, id: number, version: number, lines: string[]) =>
  answer(
    api.PUT("/pairs/{pair_id}/witnesses/{witness_id}/host-keys", {
      ...ofPair(pair, id),
      headers: ifMatch(version),
      body: { lines },
    }),
  );
export const witnessDelete = (pair: number, id: number) =>
  answer(api.DELETE("/pairs/{pair_id}/witnesses/{witness_id}", ofPair(pair, id)));

export const planCreate = (body: T.PlanIn) => answer(api.POST("/plans", { body }));
export const planChange = (id: number, version: number, body: T.PlanIn) =>
  answer(api.PUT("/plans/{plan_id}", { ...inPath({ plan_id: id }), headers: ifMatch(version), body }));
export const planDelete = (id: number, version: number) =>
  answer(api.DELETE("/plans/{plan_id}", { ...inPath({ plan_id: id }), headers: ifMatch(version) }));

export const checkRequest = (plan: number) => answer(api.POST("/plans/{plan_id}/check", inPath({ plan_id: plan })));

export const channelCreate = (name: string, address: string) =>
  answer(api.POST("/alert-channels", { body: { name, address } }));
export const channelDelete = (id: number) =>
  answer(api.DELETE("/alert-channels/{channel_id}", inPath({ channel_id: id })));
export const channelTest = (id: number) =>
  answer(api.POST("/alert-channels/{channel_id}/test", inPath({ channel_id: id })));
export const ruleSave = (id: number | null, body: T.AlertRuleIn) =>
  id === null
    ? answer(api.POST("/alert-rules", { body }))
    : answer(api.PUT("/alert-rules/{rule_id}", { ...inPath({ rule_id: id }), body }));
export const ruleDelete = (id: number) => answer(api.DELETE("/alert-rules/{rule_id}", inPath({ rule_id: id })));

export const rpoTargetSet = (group: number, rpo_s: number | null) =>
  answer(api.PUT("/groups/{group_id}/rpo-target", { ...inPath({ group_id: group }), body: { rpo_s } }));

export const rtoTargetSet = (plan: number, rto_s: number | null) =>
  answer(api.PUT("/plans/{plan_id}/rto-target", { ...inPath({ plan_id: plan }), body: { rto_s } }));

export const runRequest = (plan: number, body: T.RunIn) =>
  answer(api.POST("/plans/{plan_id}/runs", { ...inPath({ plan_id: plan }), body }));
export const runPause = (id: number, reason: string) =>
  answer(api.POST("/runs/{run_id}/pause", { ...inPath({ run_id: id }), body: { reason } }));
export const runResume = (id: number, reason: string) =>
  answer(api.POST("/runs/{run_id}/resume", { ...inPath({ run_id: id }), body: { reason } }));
export const runCancel = (id: number, reason: string) =>
  answer(api.POST("/runs/{run_id}/cancel", { ...inPath({ run_id: id }), body: { reason } }));
export const runChoose = (id: number, version: number, wanted: T.ChoiceIn, reason: string) =>
  answer(api.POST("/runs/{run_id}/choice", { ...inPath({ run_id: id }), body: { ...wanted, version, reason } }));
export const wayBackRequest = (id: number, phrase: string, request_key: string) =>
  answer(api.POST("/runs/{run_id}/way-back", { ...inPath({ run_id: id }), body: { phrase, request_key } }));
export const disasterRequest = (plan: number, body: T.DisasterIn) =>
  answer(api.POST("/plans/{plan_id}/disaster", { ...inPath({ plan_id: plan }), body }));
export const newApprovalRequest = (run: number, body: T.NewApprovalIn) =>
  answer(api.POST("/runs/{run_id}/approval", { ...inPath({ run_id: run }), body }));
export const approvalApprove = (approval: T.Approval, proof: T.Proof) =>
  answer(
    api.POST("/approvals/{approval_id}/approve", {
      ...inPath({ approval_id: approval.id }),
      body: {
        ...given(proof).body,
        evidence_sha256: approval.evidence_sha256,
        commands_sha256: approval.commands_sha256,
      },
    }),
  );
export const approvalBreakGlass = (approval: T.Approval, proof: T.Proof, said: { phrase: string; reason: string }) =>
  answer(
    api.POST("/approvals/{approval_id}/break-glass", {
      ...inPath({ approval_id: approval.id }),
      body: {
        ...given(proof).body,
        ...said,
        evidence_sha256: approval.evidence_sha256,
        commands_sha256: approval.commands_sha256,
      },
    }),
  );
export const approvalSay = (id: number, verb: "decline" | "ask" | "withdraw", text: string) => {
  const sent = { ...inPath({ approval_id: id }), body: { text } };
  if (verb === "decline") return answer(api.POST("/approvals/{approval_id}/decline", sent));
  if (verb === "ask") return answer(api.POST("/approvals/{approval_id}/ask", sent));
  return answer(api.POST("/approvals/{approval_id}/withdraw", sent));
};
export const glassSeen = (run: number) => answer(api.POST("/runs/{run_id}/glass-seen", inPath({ run_id: run })));
export const policyRequest = (body: T.PolicyIn) => answer(api.POST("/policy/changes", { body }));
export const policyApprove = (change: T.PolicyChange, proof: T.Proof) =>
  answer(
    api.POST("/policy/changes/{change_id}/approve", {
      ...inPath({ change_id: change.id }),
      body: { ...given(proof).body, sha256: change.sha256 ?? "" },
    }),
  );
export const policySay = (id: number, verb: "decline" | "withdraw", text: string) => {
  const sent = { ...inPath({ change_id: id }), body: { text } };
  if (verb === "decline") return answer(api.POST("/policy/changes/{change_id}/decline", sent));
  return answer(api.POST("/policy/changes/{change_id}/withdraw", sent));
};
export const stepRetry = (run: number, step: number, reason: string) =>
  answer(
    api.POST("/runs/{run_id}/steps/{step_id}/retry", { ...inPath({ run_id: run, step_id: step }), body: { reason } }),
  );
export const stepSkip = (run: number, step: number, reason: string) =>
  answer(
    api.POST("/runs/{run_id}/steps/{step_id}/skip", { ...inPath({ run_id: run, step_id: step }), body: { reason } }),
  );

export const trailVerify = () => answer(api.GET("/audit/verify"));

export const reviewAct = (run: number, verb: "question" | "answer" | "accept", text: string) => {
  const sent = { ...inPath({ run_id: run }), body: { text } };
  if (verb === "question") return answer(api.POST("/runs/{run_id}/review/question", sent));
  if (verb === "answer") return answer(api.POST("/runs/{run_id}/review/answer", sent));
  return answer(api.POST("/runs/{run_id}/review/accept", sent));
};
