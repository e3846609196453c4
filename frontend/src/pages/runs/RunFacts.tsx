import {
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  Progress,
} from "@patternfly/react-core";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Run } from "../../api/types";
import { Elapsed, Time } from "../../components/Time";
import { countsWords, progressOf, tallyWords } from "../../lib/tally";
import { cellWord, FINAL_RUN_STATES } from "../../lib/words";

/** How far it is, for how long, who asked and why. Short, because the checklist is what people look at. */
export function RunFacts({ run }: { run: Run }) {
  const progress = progressOf(run.tally.steps);
  const over = FINAL_RUN_STATES.has(run.state);
  return (
    <>
      <Progress
        value={progress.percent}
        title={
          <>
            {progress.done} of {progress.total} steps · {over ? "took" : "elapsed"}{" "}
            <Elapsed start={run.started_at} end={run.finished_at} />
          </>
        }
        aria-label="Steps done"
        variant={run.state === "failed" ? "danger" : run.state === "succeeded" ? "success" : undefined}
        helperText={`Steps: ${countsWords(run.tally.steps, (code) => cellWord(code).word)}. Gates: ${tallyWords(run.tally)}.`}
      />
      <div className="dr-facts">
        <span>
          Asked for by {run.requested_by} <Time at={run.created_at} />
        </span>
        <span>Because: {run.reason || "no reason given"}</span>
        {run.finished_at && (
          <span>
            Ended <Time at={run.finished_at} />
          </span>
        )}
        <Link to={`/plans/${run.plan.id}`}>Plan {run.plan.name}</Link>
        {run.parent_id !== null && <Link to={`/runs/${run.parent_id}`}>Takes back run {run.parent_id}</Link>}
        <Link to={`/trail?run=${run.id}`}>Its entries in the trail</Link>
      </div>
    </>
  );
}

export function Fact({ term, children }: { term: string; children: ReactNode }) {
  return (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription>{children}</DescriptionListDescription>
    </DescriptionListGroup>
  );
}
