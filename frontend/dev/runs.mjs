// The invented runs of dev/mock.mjs.
import { ago, gateOf, vms } from "./things.mjs";

export const summary = (world, id = 12, state = "running") => ({
  id,
  plan: { id: 1, name: "web-shop" },
  kind: "planned_failover",
  state,
  version: 57,
  source_site: "site-a",
  target_site: "site-b",
  requested_by: "operator",
  reason: "Power works in hall 2",
  sentence: "3 steps are in flight.",
  created_at: ago(300),
  started_at: ago(290),
  finished_at: state === "running" || state === "paused" ? null : ago(20),
  counts: { succeeded: world.images, running: 3, waiting: 2, pending: 2 * world.images, failed: world.trouble ? 1 : 0 },
  pause_asked: false,
  cancel_asked: false,
  executor_alive: true,
  parent_id: null,
});

const COLUMNS = [
  ["G-META", "Definition", "gate"],
  ["vm.power_off", "Off", "step"],
  ["G-OFF", "Is off", "gate"],
  ["G-SYNC", "Synced", "gate"],
  ["image.demote", "Demoted", "step"],
  ["G-DEMOTED", "Demotion arrived", "gate"],
  ["image.promote", "Promoted", "step"],
  ["vm.start", "Running", "step"],
];
const OF_VM = new Set(["G-META", "vm.power_off", "vm.start"]);
const WORDS = {
  succeeded: "Done",
  running: "Running",
  waiting: "Waiting",
  pending: "Pending",
  failed: "Failed",
  unknown: "Outcome unknown",
  met: "Met",
  not_met: "Not met",
  cannot_tell: "Cannot tell",
};
function cell(n, at, kind, trouble) {
  const front = (n * 7) % 5;
  let state = at < front + 2 ? "succeeded" : at === front + 2 ? "running" : "pending";
  if (kind === "gate") state = at < front + 2 ? "met" : at === front + 2 ? "not_met" : "pending";
  if (trouble && n % 50 === 7 && at === 4) state = "failed";
  if (trouble && n % 50 === 9 && at === 4) state = "unknown";
  return {
    step_id: n * 10 + at + 1,
    gate: kind === "gate" ? COLUMNS[at][0] : null,
    state,
    word: WORDS[state],
    sentence: "As found at the last look.",
    at: ago(5),
    destructive: false,
  };
}
export function run(world) {
  const cells = (n, forVm) =>
    Object.fromEntries(
      COLUMNS.map(([id, , kind], at) => [id, cell(n, at, kind, world.trouble)]).filter(
        ([id]) => OF_VM.has(id) === forVm,
      ),
    );
  return {
    ...summary(world, 12, world.trouble ? "paused" : "running"),
    actions: [
      { action: "pause", possible: true, why_not: null, who: "operator" },
      { action: "resume", possible: false, why_not: "It is running.", who: "operator" },
      { action: "cancel", possible: true, why_not: null, who: "operator" },
      {
        action: "way_back",
        possible: false,
        why_not: "The way back is open once the run was cancelled and is at rest.",
        who: "operator",
      },
    ],
    next: world.trouble
      ? "Demote of one/one-7-107-0 failed: an operator decides whether to try again or to skip it."
      : "Waiting for 2 demotions to arrive at Site B; this takes 3 to 15 s. Nobody has to do anything.",
    columns: COLUMNS.map(([id, title, kind]) => ({ id, title, kind })),
    vms: vms(world).map((each) => ({
      name: each.name,
      priority: 3,
      cells: cells(each.id, true),
      images: each.disks.map((disk) => ({
        image_id: disk.image_id,
        name: disk.source,
        cells: cells(disk.image_id, false),
      })),
    })),
    tally: { met: 3 * world.images, not_met: 2, cannot_tell: 1, steps: summary(world).counts },
    standing: world.trouble ? [{ name: "one/one-1-101-0", where: "primary at site-b" }] : [],
  };
}

const answerOf = (command) => ({
  command,
  host: "site-a.example.org",
  exit_status: 0,
  stdout: '{"primary": false, "state": "disabled"}',
  stderr: "",
  started_at: ago(30),
  duration_s: 0.31,
});
export const step = (id, world) => ({
  id,
  key: `image.demote:${id}`,
  kind: "image.demote",
  title: "Demote",
  subject: "one/one-1-101-0",
  site: "site-a",
  state: world.trouble ? "failed" : "succeeded",
  sentence: "The image is not primary at Site A any more.",
  needs: ["vm.power_off:1"],
  gates: [
    {
      ...gateOf("G-OFF", "met"),
      facts: { watchers: 1, phase: "off", "role, age_s": 0.4 },
      checks: 4,
      answers: [answerOf("rbd status one/one-1-101-0 --format json")],
    },
    { ...gateOf("G-SYNC", "not_met"), facts: { position: "1/33", peer: "1/30" }, checks: 9, answers: [] },
  ],
  attempts: [
    {
      number: 1,
      operation_id: "12-7-1",
      intent_at: ago(33),
      finished_at: ago(31),
      command: "rbd mirror image demote one/one-1-101-0",
      host: "site-a.example.org",
      exit_status: 0,
      outcome: "succeeded",
      sentence: "Demoted, and seen so.",
      answers: [answerOf("rbd info one/one-1-101-0 --format json")],
    },
  ],
  actions: [
    { action: "retry", possible: world.trouble, why_not: "It has not failed." },
    { action: "skip", possible: world.trouble, why_not: "It has not failed." },
  ],
  skipped_by: null,
  skip_reason: null,
});
