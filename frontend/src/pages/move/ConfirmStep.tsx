import {
  Alert,
  Button,
  Form,
  FormGroup,
  List,
  ListItem,
  TextArea,
  Title,
  useWizardContext,
  WizardFooterWrapper,
} from "@patternfly/react-core";
import { type UseQueryResult, useMutation } from "@tanstack/react-query";
import { type Dispatch, useEffect, useRef } from "react";
import { Link, useNavigate } from "react-router";
import { Problem } from "../../api/client";
import { runRequest } from "../../api/commands";
import type { Finding, Plan, Preview, Readiness } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ConfirmByTyping } from "../../components/ConfirmByTyping";
import { Findings } from "../../components/Findings";
import { Loaded, ProblemAlert } from "../../components/Loaded";
import { ProofAgain } from "../../components/ProofAgain";
import type { MoveKind } from "./MovePage";
import { type MoveAction, type MoveState, whyNotStart } from "./moveReducer";

/** What will be different afterwards, in numbers; why; and the phrase. */
export function ConfirmStep({
  plan,
  query,
  state,
  dispatch,
}: {
  plan: UseQueryResult<Plan, Error>;
  query: UseQueryResult<Preview, Error>;
  state: MoveState;
  dispatch: Dispatch<MoveAction>;
}) {
  return (
    <Loaded query={query} what="The consequences">
      {(preview) => (
        <Form onSubmit={(event) => event.preventDefault()}>
          <Title headingLevel="h2">What happens to {plan.data?.group.name ?? "the group"}</Title>
          <List>
            {preview.consequences.map((sentence) => (
              <ListItem key={sentence}>{sentence}</ListItem>
            ))}
          </List>
          <FormGroup label="Why is this done?" isRequired fieldId="reason">
            <TextArea
              id="reason"
              value={state.reason}
              onChange={(_event, text) => dispatch({ type: "reason", text })}
              rows={2}
              placeholder="For the trail and for the next shift"
            />
          </FormGroup>
          {preview.discard_question && (
            <OwnWords
              id="discard-reason"
              question={preview.discard_question}
              words={state.discardReason}
              onChange={(text) => dispatch({ type: "discard_reason", text })}
            />
          )}
          {preview.fence_question && (
            <OwnWords
              id="deviation"
              question={preview.fence_question}
              words={state.deviation}
              onChange={(text) => dispatch({ type: "deviation", text })}
            />
          )}
          <ConfirmByTyping
            phrase={preview.phrase}
            typed={state.typed}
            onType={(text) => dispatch({ type: "typed", text })}
          />
        </Form>
      )}
    </Loaded>
  );
}

/** The one button that does something. What the portal refuses is said here, above it. */
export function StartFooter({
  kind,
  state,
  readiness,
  preview,
  notAllowed,
  onLookAgain,
}: {
  kind: MoveKind;
  state: MoveState;
  readiness: Readiness | undefined;
  preview: Preview | undefined;
  notAllowed: string;
  onLookAgain: () => void;
}) {
  const { goToPrevStep, goToStepById, close } = useWizardContext();
  const navigate = useNavigate();
  const start = useMutation({
    mutationFn: (seen: Preview) =>
      runRequest(state.planId as number, {
        kind,
        plan_version: seen.plan_version,
        phrase: state.typed.trim(),
        reason: state.reason.trim(),
        request_key: state.requestKey,
        accept_warnings: state.acceptWarnings,
        discard_reason: preview?.discard_question ? state.discardReason.trim() : "",
        deviation: preview?.fence_question ? state.deviation.trim() : "",
        salvage: state.salvage.way,
        salvage_images: [...state.salvage.images].map(([image_id, way]) => ({ image_id, way, reason: "" })),
      }),
    onSuccess: (run) => void navigate(`/runs/${run.id}`),
  });
  const whyNot = notAllowed || whyNotStart(state, readiness, preview);
  const lookAgain = () => {
    start.reset();
    onLookAgain();
    goToStepById("readiness");
  };
  return (
    <WizardFooterWrapper>
      <div className="dr-stack">
        {start.error instanceof Problem ? (
          <Refused key={start.submittedAt} error={start.error} onLookAgain={lookAgain} />
        ) : (
          <ProblemAlert error={start.error} />
        )}
        {whyNot && (
          <p className="dr-quiet" aria-live="polite">
            {whyNot}
          </p>
        )}
        <div className="dr-actions">
          <Button variant="secondary" onClick={() => void goToPrevStep()} isDisabled={start.isPending}>
            Back
          </Button>
          <ActButton
            variant="danger"
            whyNot={whyNot}
            isLoading={start.isPending}
            isDisabled={start.isPending}
            onClick={() => preview && start.mutate(preview)}
          >
            {preview?.button ?? "Start"}
          </ActButton>
          <Button variant="link" onClick={close} isDisabled={start.isPending}>
            Leave without doing anything
          </Button>
        </div>
      </div>
    </WizardFooterWrapper>
  );
}

export function Refused({ error, onLookAgain }: { error: Problem; onLookAgain: () => void }) {
  const findings = Array.isArray(error.extra.findings) ? (error.extra.findings as Finding[]) : [];
  const runId = typeof error.extra.run_id === "number" ? error.extra.run_id : null;
  const changed = ["stale_version", "not_ready", "warnings"].includes(error.code);
  const shown = useRef<HTMLDivElement>(null);
  // In braces: newer browsers answer with a promise, and React would call it when this goes away.
  useEffect(() => {
    shown.current?.scrollIntoView({ block: "nearest" });
  }, []);
  const unheard = error.status === 0 || (error.status >= 500 && error.code !== "no_worker");
  return (
    <div ref={shown}>
      <Alert
        component="h2"
        variant={unheard ? "warning" : "danger"}
        isInline
        title={unheard ? "It is not known whether the run was started" : "Nothing was started"}
        role="alert"
      >
        <p>
          {error.detail}
          {unheard && " Press the button again: the same request never starts a second run."}
        </p>
        {findings.length > 0 && <Findings findings={findings} label="Findings that refused the start" />}
        {runId !== null && <Link to={`/runs/${runId}`}>Open run {runId}</Link>}
        {changed && (
          <Button variant="link" isInline onClick={onLookAgain}>
            Look at the readiness again
          </Button>
        )}
        {error.code === "password_again" && <ProofAgain />}
      </Alert>
    </div>
  );
}

/** A question that somebody answers with their name. */
function OwnWords(props: { id: string; question: string; words: string; onChange: (text: string) => void }) {
  return (
    <FormGroup label={props.question} isRequired fieldId={props.id}>
      <TextArea
        id={props.id}
        value={props.words}
        onChange={(_event, text) => props.onChange(text)}
        rows={2}
        placeholder="Kept in the trail with your name"
      />
    </FormGroup>
  );
}
