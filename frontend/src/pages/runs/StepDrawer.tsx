import {
  Content,
  DescriptionList,
  DrawerActions,
  DrawerCloseButton,
  DrawerHead,
  DrawerPanelBody,
  DrawerPanelContent,
  List,
  ListItem,
  Title,
} from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { stepQuery } from "../../api/queries";
import type { Answer, Attempt, Run, StepDetail, StepGate } from "../../api/types";
import { Command, Raw } from "../../components/Command";
import { Fold } from "../../components/Fold";
import { Loaded } from "../../components/Loaded";
import { OutcomeText, StateLabel } from "../../components/State";
import { Age, Time } from "../../components/Time";
import { closeOnEscape } from "../../lib/keys";
import { useSiteName } from "../../lib/siteName";
import { durationWords } from "../../lib/time";
import { cellWord, count } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { Fact } from "./RunFacts";
import { StepActions } from "./StepActions";

/** Everything behind one cell: gates with their figures, attempts with command, host, raw answer and time. */
export function StepDrawer({
  run,
  stepId,
  gate,
  onClose,
}: {
  run: Run;
  stepId: number;
  gate: string | null;
  onClose: () => void;
}) {
  const poll = useLive([`run:${run.id}`], "run");
  const query = useQuery({ ...stepQuery(run.id, stepId), refetchInterval: poll });
  const head = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    head.current?.focus();
  }, []);
  return (
    <DrawerPanelContent
      isResizable
      defaultSize="42rem"
      minSize="22rem"
      aria-label="Step"
      onKeyDown={closeOnEscape(onClose)}
    >
      <DrawerHead>
        <span ref={head} tabIndex={-1} className="dr-silent-focus">
          <Title headingLevel="h2">{query.data ? `${query.data.title}: ${query.data.subject}` : "Step"}</Title>
        </span>
        <DrawerActions>
          <DrawerCloseButton onClose={onClose} aria-label="Close the details" />
        </DrawerActions>
      </DrawerHead>
      <DrawerPanelBody>
        <Loaded query={query} what="The step">
          {(step) => <Step run={run} step={step} gate={gate} />}
        </Loaded>
      </DrawerPanelBody>
    </DrawerPanelContent>
  );
}

function Step({ run, step, gate }: { run: Run; step: StepDetail; gate: string | null }) {
  const name = useSiteName();
  return (
    <div className="dr-stack">
      <StateLabel state={cellWord(step.state)} />
      <Content component="p">{step.sentence}</Content>
      <StepActions run={run} step={step} />
      {step.skipped_by && (
        <Content component="p">
          Skipped by {step.skipped_by}: {step.skip_reason}
        </Content>
      )}
      <DescriptionList isCompact isHorizontal>
        <Fact term="Site">{name(step.site)}</Fact>
        <Fact term="Key">
          <span className="dr-mono">{step.key}</span>
        </Fact>
        <Fact term="Needs first">{step.needs.length > 0 ? step.needs.join(", ") : "nothing"}</Fact>
      </DescriptionList>
      <Title headingLevel="h3">Gates</Title>
      {step.gates.length === 0 && <p>This step has no gate, or none was read yet.</p>}
      {step.gates.map((each) => (
        <Gate
          key={each.gate}
          gate={each}
          open={gate === null ? each.outcome !== "met" : each.gate === gate}
          isOver={["succeeded", "done", "skipped"].includes(step.state)}
        />
      ))}
      <Title headingLevel="h3">{count(step.attempts.length, "attempt")}</Title>
      {step.attempts.length === 0 && <p>Nothing has been sent to the site for this step.</p>}
      {[...step.attempts].reverse().map((attempt) => (
        <AttemptView key={attempt.number} attempt={attempt} />
      ))}
    </div>
  );
}

/** `isOver`: the step is done, and its readings are of then, not of now. */
function Gate({ gate, open, isOver }: { gate: StepGate; open: boolean; isOver: boolean }) {
  const facts = Object.entries(gate.facts);
  return (
    <Fold
      head={
        <>
          {gate.gate} <OutcomeText code={gate.outcome} />
        </>
      }
      open={open}
    >
      <p>{gate.sentence}</p>
      {gate.remedy && (
        <p>
          <strong>What to do:</strong> {gate.remedy}
        </p>
      )}
      <p className="dr-quiet">
        Read {count(gate.checks, "time")}, last{" "}
        {isOver ? <Time at={gate.checked_at} /> : <Age at={gate.checked_at} stale_after_s={60} />}
      </p>
      {facts.length > 0 && (
        <DescriptionList isCompact isHorizontal>
          {facts.map(([name, value]) => (
            <Fact key={name} term={name}>
              <span className="dr-mono">{typeof value === "object" ? JSON.stringify(value) : String(value)}</span>
            </Fact>
          ))}
        </DescriptionList>
      )}
      <Answers answers={gate.answers} />
    </Fold>
  );
}

function AttemptView({ attempt }: { attempt: Attempt }) {
  return (
    <div className="dr-stack">
      <p>
        <strong>Attempt {attempt.number}</strong> on {attempt.host}: <OutcomeText code={attempt.outcome || "running"} />
        {attempt.exit_status !== null && <>, exit status {attempt.exit_status}</>}
      </p>
      <p>{attempt.sentence}</p>
      {attempt.command && <Command text={attempt.command} />}
      <List isPlain>
        <ListItem>
          Intent recorded <Time at={attempt.intent_at} />
        </ListItem>
        <ListItem>
          {attempt.finished_at ? (
            <>
              Ended <Time at={attempt.finished_at} />
            </>
          ) : (
            "Not ended yet, or its end was not seen"
          )}
        </ListItem>
        <ListItem>
          Operation <span className="dr-mono">{attempt.operation_id}</span>
        </ListItem>
      </List>
      <Answers answers={attempt.answers} />
    </div>
  );
}

function Answers({ answers }: { answers: Answer[] }) {
  if (answers.length === 0) return null;
  return (
    <Fold head={`${count(answers.length, "raw answer")}`}>
      {answers.map((answer) => (
        <div key={`${answer.started_at} ${answer.command}`} className="dr-stack">
          <Command text={answer.command} />
          <p className="dr-quiet">
            {answer.host} · <Time at={answer.started_at} /> · {durationWords(answer.duration_s)} · exit status{" "}
            {answer.exit_status ?? "unknown"}
          </p>
          <Raw text={answer.stdout} label="Output" />
          {answer.stderr !== "" && <Raw text={answer.stderr} label="Error output" />}
        </div>
      ))}
    </Fold>
  );
}
