import { Form, FormGroup, TextArea, Title } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { approvalApprove, approvalSay } from "../../api/commands";
import type { Approval, Proof } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ProblemAlert } from "../../components/Loaded";
import { isGiven, ProofField } from "../../components/ProofField";
import { useMay, useMe } from "../../lib/may";
import { count } from "../../lib/words";

/** Yes, no, a question, or the request taken back. `looked`: what the sites said when this page asked them. */
export function Decide({ approval, looked }: { approval: Approval; looked: Approval | undefined }) {
  const me = useMe();
  const [proof, setProof] = useState<Proof | null>(null);
  const [text, setText] = useState("");
  const { whyNot: notAllowed } = useMay("approve", { plan: approval.plan_id });
  const { whyNot: mayNotAsk } = useMay("run", { plan: approval.plan_id });
  const client = useQueryClient();
  const navigate = useNavigate();
  const again = () => client.invalidateQueries({ queryKey: ["runs"] });
  const yes = useMutation({
    mutationFn: () => approvalApprove(approval, proof ?? {}),
    onError: () => setProof(null),
    onSuccess: (found) => void navigate(`/runs/${found.run_id}`),
    onSettled: again,
  });
  const say = useMutation({
    mutationFn: (verb: "decline" | "ask" | "withdraw") => approvalSay(approval.id, verb, text.trim()),
    onSuccess: () => setText(""),
    onSettled: again,
  });
  const own = me.username === approval.requested_by ? "You asked for it yourself: another person decides." : "";
  const notMine = own || notAllowed;
  const whyNotYes =
    notMine ||
    (looked === undefined ? "The sites have not been read on this page yet." : "") ||
    (looked?.differences?.some((each) => each.material) ? "The evidence has changed since it was frozen." : "") ||
    (isGiven(proof) ? "" : "Show first that it is you.");
  const noText = text.trim() === "" ? "Write it into the field first." : "";
  const busy = yes.isPending || say.isPending;
  return (
    <Form onSubmit={(event) => event.preventDefault()}>
      <Title headingLevel="h2">Decide</Title>
      {!notMine && <ProofField label="Your password, again" proof={proof} onProof={setProof} />}
      <div className="dr-actions">
        <ActButton
          variant="danger"
          whyNot={whyNotYes}
          isLoading={yes.isPending}
          isDisabled={busy}
          onClick={() => yes.mutate()}
        >
          {`Approve: force-promote ${count(approval.images, "image")} at ${approval.target_site}`}
        </ActButton>
      </div>
      {whyNotYes && <p className="dr-quiet">{whyNotYes}</p>}
      <ProblemAlert error={yes.error} title="Nothing was approved" />
      <FormGroup label="A reason, a question or an answer (it goes into the trail)" fieldId="approve-text">
        <TextArea id="approve-text" rows={2} value={text} onChange={(_event, value) => setText(value)} />
      </FormGroup>
      <div className="dr-actions">
        <ActButton
          variant="secondary"
          whyNot={notMine || noText}
          isDisabled={busy}
          onClick={() => say.mutate("decline")}
        >
          Decline
        </ActButton>
        <ActButton variant="secondary" whyNot={noText} isDisabled={busy} onClick={() => say.mutate("ask")}>
          Ask or answer
        </ActButton>
        <ActButton variant="secondary" whyNot={mayNotAsk} isDisabled={busy} onClick={() => say.mutate("withdraw")}>
          Withdraw the request
        </ActButton>
      </div>
      <ProblemAlert error={say.error} />
    </Form>
  );
}
