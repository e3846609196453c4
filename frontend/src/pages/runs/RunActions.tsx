import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { newApprovalRequest, runCancel, runPause, runResume, wayBackRequest } from "../../api/commands";
import type { Run, RunAction } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { Attestation, lacking, NOTHING_ATTESTED, toSend } from "../../components/Attestation";
import { ConfirmByTyping } from "../../components/ConfirmByTyping";
import { ReasonDialog } from "../../components/ReasonDialog";
import { useMay } from "../../lib/may";
import { requestKey } from "../../lib/requestKey";
import { count } from "../../lib/words";
import { troubled } from "./choices";

type Act = "pause" | "resume" | "cancel" | "way_back" | "new_approval";

const BUTTONS: Record<Act, string> = {
  pause: "Pause",
  resume: "Resume",
  cancel: "Cancel",
  way_back: "Way back…",
  new_approval: "New approval…",
};

/** Pause, resume, cancel and the way back: those that make sense now; each says why not where it cannot be done. */
export function RunActions({ run }: { run: Run }) {
  const [asking, setAsking] = useState<Act | null>(null);
  const { whyNot } = useMay("run", { plan: run.plan.id });
  const shown = run.actions.filter(
    (each): each is RunAction & { action: Act } => each.action in BUTTONS && fits(run, each),
  );
  return (
    <>
      {shown.map((each) => (
        <ActButton
          key={each.action}
          variant={each.action === "cancel" ? "secondary" : each.action === "resume" ? "primary" : "secondary"}
          isDanger={each.action === "cancel"}
          whyNot={each.possible ? whyNot : (each.why_not ?? "Not now.")}
          onClick={() => setAsking(each.action)}
        >
          {BUTTONS[each.action]}
        </ActButton>
      ))}
      {asking === "way_back" && <WayBack run={run} phrase={phraseOf(run)} onClose={() => setAsking(null)} />}
      {asking === "new_approval" && <NewApproval run={run} onClose={() => setAsking(null)} />}
      {asking !== null && asking !== "way_back" && asking !== "new_approval" && (
        <Ask run={run} act={asking} onClose={() => setAsking(null)} />
      )}
    </>
  );
}

/** What cannot be done is shown only where a person would look for it: the way back at the end of a run. */
function fits(run: Run, { action, possible }: RunAction): boolean {
  // The console has both, each with what follows from it: nobody has to ask which of two buttons is the right one.
  if ((action === "resume" || action === "cancel") && run.console && troubled(run.console.vms).length > 0) return false;
  return (
    possible ||
    (action === "way_back" &&
      ["aborted", "failed"].includes(run.state) &&
      !["way_back", "disaster_failover", "reprotect", "fence"].includes(run.kind))
  );
}

type Simple = Exclude<Act, "way_back" | "new_approval">;

function consequencesOf(run: Run, act: Simple): string[] {
  const steps = run.tally.steps;
  const inFlight = (steps.running ?? 0) + (steps.unknown ?? 0);
  const done = (steps.succeeded ?? 0) + (steps.done ?? 0);
  const open = (steps.pending ?? 0) + (steps.waiting ?? 0);
  const held = (run.console?.vms ?? []).filter((vm) => vm.part === "on_hold").length;
  const flight =
    inFlight === 0
      ? "No step is in flight now."
      : `${count(inFlight, "step")} in flight ${inFlight === 1 ? "is" : "are"} waited for; nothing is killed.`;
  switch (act) {
    case "pause":
      return [
        `No new step begins: ${count(open, "step")} wait${open === 1 ? "s" : ""}.`,
        flight,
        "VMs that are off stay off.",
      ];
    case "resume":
      return [
        `${count(open + (steps.failed ?? 0), "step")} left. Each begins by looking whether its work is done, and reads its gates again.`,
        steps.failed
          ? `${count(steps.failed, "failed step")} ${steps.failed === 1 ? "is" : "are"} tried again.`
          : "No step has failed.",
        ...(held > 0
          ? [`${count(held, "VM")} on hold ${held === 1 ? "stays" : "stay"} so: nothing of them begins.`]
          : []),
      ];
    case "cancel":
      return [
        `${count(done, "step")} done stay${done === 1 ? "s" : ""} done; ${count(open, "step")} never begin${open === 1 ? "s" : ""}.`,
        flight,
        ...(run.kind === "disaster_failover"
          ? ["What was forced stays forced: there is no way back from it. This page then says where everything stands."]
          : [
              "VMs that were powered off stay off, and demoted images stay demoted, until somebody takes the way back.",
              "When everything is at rest, this page says where each image and VM stands, and offers the way back while it is safe.",
            ]),
      ];
  }
}

const TITLES = { pause: "Pause this run?", resume: "Resume this run?", cancel: "Cancel this run?" };
const DO = { pause: runPause, resume: runResume, cancel: runCancel };

function Ask({ run, act, onClose }: { run: Run; act: Simple; onClose: () => void }) {
  const client = useQueryClient();
  const send = useMutation({
    mutationFn: (reason: string) => DO[act](run.id, reason),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["run", run.id] });
      onClose();
    },
  });
  return (
    <ReasonDialog
      title={TITLES[act]}
      consequences={consequencesOf(run, act)}
      button={act === "cancel" ? `Cancel run ${run.id}` : `${BUTTONS[act]} run ${run.id}`}
      danger={act === "cancel"}
      busy={send.isPending}
      error={send.error}
      onConfirm={(reason) => send.mutate(reason)}
      onClose={onClose}
    />
  );
}

/** In the middle of a disaster failover whose yes has expired, or lost its giver. */
function NewApproval({ run, onClose }: { run: Run; onClose: () => void }) {
  const navigate = useNavigate();
  const wanted = run.fence[0]?.wanted ?? 5;
  const [said, setSaid] = useState(NOTHING_ATTESTED);
  const send = useMutation({
    mutationFn: (reason: string) => newApprovalRequest(run.id, { reason, ...toSend(said) }),
    onSuccess: (approval) => void navigate(`/approvals/${approval.id}`),
  });
  return (
    <ReasonDialog
      title={`Ask for a new approval for run ${run.id}?`}
      consequences={[
        "Both sites are read now, at most 25 s. What they say is frozen for the person who decides.",
        "It is asked for what is still to be forced. What was forced stays forced.",
        "This only asks. When another person says yes, the run goes on by itself.",
      ]}
      button="Ask for a new approval"
      danger
      reasonNeeded
      whyNot={lacking(said, wanted, run.source_site)}
      busy={send.isPending}
      error={send.error}
      onConfirm={(reason) => send.mutate(reason)}
      onClose={onClose}
    >
      <Attestation site={run.source_site} wanted={wanted} value={said} onChange={setSaid} />
    </ReasonDialog>
  );
}

const phraseOf = (run: Run) => run.actions.find((each) => each.action === "way_back")?.phrase ?? null;

/** `phrase`: null when, meanwhile, the way back is no longer open. */
function WayBack({ run, phrase, onClose }: { run: Run; phrase: string | null; onClose: () => void }) {
  const navigate = useNavigate();
  const [typed, setTyped] = useState("");
  const [key] = useState(requestKey);
  const send = useMutation({
    mutationFn: () => wayBackRequest(run.id, typed.trim(), key),
    onSuccess: (back) => {
      onClose();
      void navigate(`/runs/${back.id}`);
    },
  });
  return (
    <ReasonDialog
      title={`Take back run ${run.id}?`}
      consequences={[
        `Images that were demoted at ${run.source_site} and never promoted at ${run.target_site} are promoted again at ${run.source_site}; VMs powered off there are resumed.`,
        `Images that are primary at ${run.target_site} already stay there.`,
        "Both sites are read first; where it is not safe, nothing is started and the reason is shown here.",
      ]}
      button={`Take back to ${run.source_site}`}
      danger
      withReason={false}
      whyNot={phrase === null ? "It is not open any more." : typed.trim() === phrase ? "" : "Type the phrase first."}
      busy={send.isPending}
      error={send.error}
      onConfirm={() => send.mutate()}
      onClose={onClose}
    >
      {phrase !== null && <ConfirmByTyping phrase={phrase} typed={typed} onType={setTyped} />}
    </ReasonDialog>
  );
}
