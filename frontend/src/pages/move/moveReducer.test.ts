import { describe, expect, it } from "vitest";
import type { Finding, Preview, Readiness } from "../../api/types";
import { moveReducer, NO_SALVAGE, newMove, whyNotReady, whyNotStart } from "./moveReducer";

const finding = (severity: string): Finding => ({ code: "c", severity, subject: "s", sentence: "x", remedy: null });
const readiness = (state: string, ...severities: string[]): Readiness => ({
  kind: "planned_failover",
  state,
  checked_at: "2026-11-23T04:00:00Z",
  findings: severities.map(finding),
  images: [],
  vms: [],
  counts: { met: 1, not_met: 0, cannot_tell: 0 },
});
const preview = { phrase: "move web-shop to site-b", plan_version: 4 } as Preview;

function said(typed: string, reason = "Power works") {
  let state = newMove(1);
  state = moveReducer(state, { type: "reason", text: reason });
  return moveReducer(state, { type: "typed", text: typed });
}

describe("the wizard", () => {
  it("keeps its request key while words are typed, so that a second press gives the same run", () => {
    const state = newMove(1);
    const later = moveReducer(moveReducer(state, { type: "reason", text: "x" }), { type: "typed", text: "y" });
    expect(later.requestKey).toBe(state.requestKey);
    expect(moveReducer(later, { type: "choose", planId: 1 })).toBe(later);
  });

  it("forgets the phrase, the acceptance and the key when another plan is chosen", () => {
    const state = moveReducer(said("move web-shop to site-b"), { type: "accept", accept: true });
    const other = moveReducer(state, { type: "choose", planId: 2 });
    expect(other).toMatchObject({ planId: 2, typed: "", acceptWarnings: false, reason: "Power works" });
    expect(other.requestKey).not.toBe(state.requestKey);
  });

  it("asks why what cannot be saved may be discarded, where the preview does", () => {
    const asking = { ...preview, discard_question: "Why may it be discarded?" };
    const state = said("move web-shop to site-b");
    expect(whyNotStart(state, readiness("ready"), asking)).toBe("Say why it may be discarded.");
    const answered = moveReducer(state, { type: "discard_reason", text: "nobody wants it" });
    expect(whyNotStart(answered, readiness("ready"), asking)).toBe("");
    expect(moveReducer(answered, { type: "look_again" }).discardReason).toBe("");
  });

  it("asks why it goes on with less of a fence than the plan wants, where the preview does", () => {
    const asking = { ...preview, fence_question: "Why with rung 2?" };
    const state = said("move web-shop to site-b");
    expect(whyNotStart(state, readiness("ready"), asking)).toBe("Say why it goes on with less of a fence.");
    const answered = moveReducer(state, { type: "deviation", text: "its hosts are scrap" });
    expect(whyNotStart(answered, readiness("ready"), asking)).toBe("");
    expect(moveReducer(answered, { type: "look_again" }).deviation).toBe("");
  });

  it("keeps what becomes of each image's own writes, and forgets it when the plan is looked at again", () => {
    let state = moveReducer(newMove(1), { type: "salvage", way: "copy" });
    state = moveReducer(state, { type: "salvage_of", imageId: 3, way: "waive" });
    expect([state.salvage.way, [...state.salvage.images]]).toEqual(["copy", [[3, "waive"]]]);
    expect(moveReducer(state, { type: "salvage_of", imageId: 3, way: null }).salvage.images.size).toBe(0);
    expect(moveReducer(state, { type: "look_again" }).salvage).toEqual(NO_SALVAGE);
  });

  it("counts nothing as confirmed after the plan or the readiness changed", () => {
    const state = moveReducer(said("move web-shop to site-b"), { type: "accept", accept: true });
    const again = moveReducer(state, { type: "look_again" });
    expect(again).toMatchObject({ planId: 1, typed: "", acceptWarnings: false, reason: "Power works" });
    expect(again.requestKey).not.toBe(state.requestKey);
  });
});

describe("the way past readiness", () => {
  it("is closed while the sites have not answered", () => {
    expect(whyNotReady(newMove(1), undefined)).not.toBe("");
  });

  it("is closed by a blocker, even when warnings are accepted", () => {
    const state = moveReducer(newMove(1), { type: "accept", accept: true });
    expect(whyNotReady(state, readiness("not_ready", "block", "warn"))).toBe("1 finding in the way.");
  });

  it("is closed when it cannot be told", () => {
    expect(whyNotReady(newMove(1), readiness("cannot_tell"))).not.toBe("");
  });

  it("is closed by a state it does not know", () => {
    expect(whyNotReady(newMove(1), readiness("probably"))).not.toBe("");
  });

  it("opens past warnings only when they are accepted", () => {
    const warned = readiness("ready", "warn", "info");
    expect(whyNotReady(newMove(1), warned)).toBe("1 warning to accept first.");
    expect(whyNotReady(moveReducer(newMove(1), { type: "accept", accept: true }), warned)).toBe("");
  });
});

describe("the button", () => {
  const ready = readiness("ready");

  it("works when everything was said", () => {
    expect(whyNotStart(said("move web-shop to site-b"), ready, preview)).toBe("");
    expect(whyNotStart(said("  move web-shop to site-b "), ready, preview)).toBe("");
  });

  it("does not work with another phrase, without a reason or without the commands", () => {
    expect(whyNotStart(said("move web-shop to site-a"), ready, preview)).toBe("Type the phrase first.");
    expect(whyNotStart(said(""), ready, preview)).toBe("Type the phrase first.");
    expect(whyNotStart(said("move web-shop to site-b", "  "), ready, preview)).toContain("why");
    expect(whyNotStart(said("move web-shop to site-b"), ready, undefined)).not.toBe("");
  });

  it("does not work where readiness is not given", () => {
    expect(whyNotStart(said("move web-shop to site-b"), readiness("not_ready", "block"), preview)).not.toBe("");
  });
});
