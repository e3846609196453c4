import { Flex } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { stepRetry, stepSkip } from "../../api/commands";
import type { Run, StepDetail } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ReasonDialog } from "../../components/ReasonDialog";
import { useMay } from "../../lib/may";

type Act = "retry" | "skip";

const WORDS: Record<Act, { button: string; consequences: string[] }> = {
  retry: {
    button: "Try again",
    consequences: [
      "The step begins by looking whether its work is done already, and reads its gates again before anything is sent.",
      "The run goes on by itself once no other step has failed.",
    ],
  },
  skip: {
    button: "Skip",
    consequences: [
      "What this step would have done is not done. The portal takes it for settled.",
      "The run stays paused. When it is resumed, the steps that waited for this one begin, each with its own gates.",
      "The run can then end only as “Completed with exceptions”; your reason stands in the trail.",
    ],
  },
};

/** Retry and skip of one step, each with a reason. */
export function StepActions({ run, step }: { run: Run; step: StepDetail }) {
  const [asking, setAsking] = useState<Act | null>(null);
  const { whyNot } = useMay("run", { plan: run.plan.id });
  const client = useQueryClient();
  const send = useMutation({
    mutationFn: ({ act, reason }: { act: Act; reason: string }) =>
      (act === "retry" ? stepRetry : stepSkip)(run.id, step.id, reason),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["run", run.id] });
      setAsking(null);
    },
  });
  const offered = step.actions.filter((each) => each.action in WORDS);
  if (offered.every((each) => !each.possible)) return null;
  return (
    <Flex>
      {offered.map((each) => (
        <ActButton
          key={each.action}
          variant="secondary"
          size="sm"
          isDanger={each.action === "skip"}
          whyNot={each.possible ? whyNot : (each.why_not ?? "Not now.")}
          onClick={() => {
            send.reset();
            setAsking(each.action as Act);
          }}
        >
          {WORDS[each.action as Act].button}
        </ActButton>
      ))}
      {asking && (
        <ReasonDialog
          title={`${WORDS[asking].button}: ${step.title}, ${step.subject}?`}
          consequences={WORDS[asking].consequences}
          button={`${WORDS[asking].button}: ${step.title}`}
          danger={asking === "skip"}
          reasonNeeded={asking === "skip"}
          busy={send.isPending}
          error={send.error}
          onConfirm={(reason) => send.mutate({ act: asking, reason })}
          onClose={() => setAsking(null)}
        />
      )}
    </Flex>
  );
}
