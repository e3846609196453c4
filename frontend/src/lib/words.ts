/** Codes of the API in the portal's words. Colour and icon follow from the tone; the word is always there. */

/** How a thing stands: `good` is only ever said of what was observed and is fresh. */
export type Tone = "good" | "bad" | "warn" | "unsure" | "busy" | "idle";

export type Word = { word: string; tone: Tone };

const VERDICTS: Record<string, Word> = {
  protected: { word: "Protected", tone: "good" },
  protected_reversed: { word: "Protected (reversed)", tone: "good" },
  behind: { word: "Behind", tone: "warn" },
  not_yet_protected: { word: "Not yet protected", tone: "warn" },
  broken_mirroring: { word: "Broken mirroring", tone: "bad" },
  handover_ready: { word: "Handover ready", tone: "warn" },
  handover_not_propagated: { word: "Handover not propagated", tone: "warn" },
  two_primaries: { word: "Two primaries", tone: "bad" },
  diverged: { word: "Diverged", tone: "bad" },
  replica_only: { word: "Replica only", tone: "bad" },
  suspect_primary: { word: "Suspect primary", tone: "bad" },
  running_unprotected: { word: "Running unprotected", tone: "warn" },
  not_mirrored: { word: "Not mirrored", tone: "bad" },
  one_way: { word: "One-way mirroring", tone: "warn" },
  cannot_tell: { word: "Cannot tell", tone: "unsure" },
};

const RUN_STATES: Record<string, Word> = {
  draft: { word: "Draft", tone: "idle" },
  awaiting_approval: { word: "Awaiting approval", tone: "warn" },
  approved: { word: "About to begin", tone: "busy" },
  running: { word: "Running", tone: "busy" },
  paused: { word: "Paused", tone: "warn" },
  cancelling: { word: "Cancelling", tone: "warn" },
  succeeded: { word: "Completed", tone: "good" },
  succeeded_with_exceptions: { word: "Completed with exceptions", tone: "warn" },
  failed: { word: "Failed", tone: "bad" },
  aborted: { word: "Cancelled", tone: "idle" },
};

const CELL_STATES: Record<string, Word> = {
  pending: { word: "Pending", tone: "idle" },
  not_needed: { word: "Not needed", tone: "idle" },
  waiting: { word: "Waiting", tone: "warn" },
  running: { word: "Running", tone: "busy" },
  succeeded: { word: "Done", tone: "good" },
  done: { word: "Done", tone: "good" },
  failed: { word: "Failed", tone: "bad" },
  unknown: { word: "Outcome unknown", tone: "unsure" },
  skipped: { word: "Skipped", tone: "warn" },
  found_done: { word: "Found done", tone: "good" },
  refused: { word: "Refused", tone: "bad" },
  unreachable: { word: "Not reachable, outcome unknown", tone: "unsure" },
  not_done: { word: "Not done", tone: "warn" },
  conflict: { word: "Conflict", tone: "bad" },
  met: { word: "Met", tone: "good" },
  not_met: { word: "Not met", tone: "bad" },
  cannot_tell: { word: "Cannot tell", tone: "unsure" },
};

const APPROVAL_STATES: Record<string, Word> = {
  requested: { word: "Waits for a decision", tone: "warn" },
  approved: { word: "Approved", tone: "busy" },
  declined: { word: "Declined", tone: "bad" },
  expired: { word: "Expired", tone: "idle" },
  void: { word: "Void", tone: "idle" },
  used: { word: "Approved and used", tone: "good" },
};

const POLICY_STATES: Record<string, Word> = {
  ...APPROVAL_STATES,
  in_force: { word: "In force", tone: "good" },
  superseded: { word: "Was in force", tone: "idle" },
};

/** What an address said to who looked. One silence is no dead site: nothing here is ever called down. */
const ECHOES: Record<string, Word> = {
  greets: { word: "Answers", tone: "good" },
  accepts: { word: "Accepts a connection", tone: "idle" },
  refuses: { word: "Refuses: nobody listens", tone: "bad" },
  silent: { word: "Not reachable", tone: "bad" },
  "no-way": { word: "No way there", tone: "unsure" },
  "": { word: "Could not be asked", tone: "unsure" },
};

const READINESS: Record<string, Word> = {
  ready: { word: "Ready", tone: "good" },
  not_ready: { word: "Not ready", tone: "bad" },
  cannot_tell: { word: "Cannot tell", tone: "unsure" },
};

const PARTS: Record<string, Word> = {
  done: { word: "Done", tone: "good" },
  failed: { word: "Failed", tone: "bad" },
  unknown: { word: "Outcome unknown", tone: "unsure" },
  on_hold: { word: "On hold", tone: "warn" },
  waiting: { word: "Not begun", tone: "idle" },
};

const QUARANTINE_STATES: Record<string, Word> = {
  waiting: { word: "Waiting for first contact", tone: "busy" },
  contact: { word: "Back, and not cleared", tone: "bad" },
  cleared: { word: "Cleared", tone: "good" },
};

const SEVERITIES: Record<string, Word> = {
  block: { word: "Blocks", tone: "bad" },
  warn: { word: "Warning", tone: "warn" },
  info: { word: "Note", tone: "idle" },
};

const KINDS: Record<string, string> = {
  planned_failover: "Planned failover",
  failback: "Failback",
  disaster_failover: "Disaster failover",
  reprotect: "Reprotect",
  fence: "Fence",
  drill: "Drill",
  way_back: "Way back",
};

function look(table: Record<string, Word>, code: string | null | undefined): Word {
  // A code this bundle does not know is shown as it came, and never in green.
  if (!code) return { word: "Cannot tell", tone: "unsure" };
  return table[code] ?? { word: code.replaceAll("_", " "), tone: "unsure" };
}

export const verdictWord = (code: string | null | undefined) => look(VERDICTS, code);
export const runStateWord = (code: string) => look(RUN_STATES, code);
export const approvalWord = (code: string) => look(APPROVAL_STATES, code);
export const policyWord = (code: string) => look(POLICY_STATES, code);
/** Of a viewpoint: the portal, the slug of a site whose host looks (`name` says what people call it), or “witness:” and a witness's name. */
export function whoLooks(viewpoint: string, name: (slug: string) => string): string {
  if (viewpoint === "portal") return "The portal";
  return viewpoint.startsWith("witness:")
    ? `The witness ${viewpoint.slice("witness:".length)}`
    : `The host of ${name(viewpoint)}`;
}
export const echoWord = (code: string): Word => ECHOES[code] ?? { word: code, tone: "unsure" };
export const cellWord = (code: string) => look(CELL_STATES, code);
export const partWord = (code: string) => look(PARTS, code);
export const readinessWord = (code: string) => look(READINESS, code);
export const quarantineWord = (code: string) => look(QUARANTINE_STATES, code);
export const severityWord = (code: string) => look(SEVERITIES, code);
export const kindWord = (code: string) => KINDS[code] ?? code.replaceAll("_", " ");

/** From where to where; a way back goes to where its run came from, and a reprotect copies to the site that returned. */
export function wayWords(run: { kind: string; source_site: string; target_site: string }): string {
  if (run.kind === "reprotect") return `copied from ${run.target_site} to ${run.source_site}`;
  if (run.kind === "fence") return `at ${run.source_site}`;
  return run.kind === "way_back" ? `back to ${run.source_site}` : `${run.source_site} → ${run.target_site}`;
}

export const VERDICT_CODES = Object.keys(VERDICTS);

export function count(n: number, noun: string, plural = `${noun}s`): string {
  return `${n} ${n === 1 ? noun : plural}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function sizeWords(bytes: number | null): string {
  if (bytes === null) return "unknown";
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export const FINAL_RUN_STATES = new Set(["succeeded", "succeeded_with_exceptions", "failed", "aborted"]);

const STANDINGS: Record<string, Word> = {
  verified: { word: "Verified", tone: "good" },
  needs_verification: { word: "Needs verification", tone: "unsure" },
  not_ready: { word: "Not ready", tone: "bad" },
};

export function standingWord(code: string): Word {
  return STANDINGS[code] ?? { word: code.replaceAll("_", " "), tone: "unsure" };
}

const GAP_LEVELS: Record<string, Word> = {
  unprotected: { word: "Unprotected", tone: "bad" },
  risk: { word: "Risk", tone: "warn" },
  note: { word: "Look at it", tone: "idle" },
};

export const GAP_LEVEL_CODES = Object.keys(GAP_LEVELS);

export function gapLevelWord(code: string): Word {
  return GAP_LEVELS[code] ?? { word: code.replaceAll("_", " "), tone: "unsure" };
}

type Exposed = { kind: string; seconds: number | null };

/** What would be lost now, in words; `good` only within what was agreed. */
export function exposureWord({ kind, seconds }: Exposed, target_s: number | null = null): Word {
  if (kind === "unbounded") return { word: "No bound", tone: "bad" };
  if (kind === "nothing") return { word: "Nothing", tone: "good" };
  if (kind !== "measured" || seconds === null) return { word: "Cannot tell", tone: "unsure" };
  const word = `At most ${upWords(seconds)}`;
  if (target_s === null) return { word, tone: "idle" };
  return { word, tone: seconds > target_s ? "bad" : "good" };
}

/** A span rounded up, because an exposure is never told smaller than it is. */
export function upWords(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`;
  if (seconds < 7200) return `${Math.ceil(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.ceil(seconds / 3600)} h`;
  return `${Math.ceil(seconds / 86_400)} d`;
}

const LEVELS: Record<string, string> = { image: "its own", pool: "the pool's", all_pools: "that of all pools" };

type Scheduled = { known: boolean; text: string; level: string | null; own?: number };

/** What takes mirror snapshots; what was told too long ago is said to be so. */
export function scheduleWords({ known, text, level, own = 0 }: Scheduled, none: string): string {
  const said = text ? `${text}${level ? `, ${LEVELS[level] ?? level}` : ""}` : none;
  const more = own > 0 ? `; ${count(own, "image has", "images have")} a schedule of their own` : "";
  return known ? `${said}${more}` : `cannot tell; last told: ${said}${more}`;
}
