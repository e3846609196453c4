import { Alert, Form, FormGroup, List, ListItem, TextArea } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { policyApprove, policySay } from "../../api/commands";
import type { PolicyChange, Proof } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ProblemAlert } from "../../components/Loaded";
import { isGiven, ProofField } from "../../components/ProofField";
import { Time } from "../../components/Time";
import { useMay, useMe } from "../../lib/may";

/** The change that waits: what it says, in which points it is looser, and yes or no to it. */
export function PolicyDecide({ change }: { change: PolicyChange }) {
  const me = useMe();
  const client = useQueryClient();
  const { whyNot: notAllowed } = useMay("policy", "everywhere");
  const [proof, setProof] = useState<Proof | null>(null);
  const [text, setText] = useState("");
  const again = () => client.invalidateQueries({ queryKey: ["runs"] });
  const yes = useMutation({
    mutationFn: () => policyApprove(change, proof ?? {}),
    onError: () => setProof(null),
    onSettled: again,
  });
  const say = useMutation({
    mutationFn: (verb: "decline" | "withdraw") => policySay(change.id, verb, text.trim()),
    onSettled: again,
  });
  const own = me.username === change.requested_by;
  const notMine = notAllowed || (own ? "You asked for it yourself: another person decides." : "");
  const whyNotYes = notMine || (isGiven(proof) ? "" : "Show first that it is you.");
  const busy = yes.isPending || say.isPending;
  return (
    <Form onSubmit={(event) => event.preventDefault()}>
      <Alert variant="warning" isInline component="h3" title="A change waits for a second person">
        <List>
          <ListItem>
            Asked for by {change.requested_by}: {change.reason}
          </ListItem>
          <ListItem>Then: {change.policy.words}</ListItem>
          {change.looser.length > 0 && <ListItem>Looser than now: {change.looser.join("; ")}.</ListItem>}
          <ListItem>
            Nothing has changed yet. The request ends <Time at={change.expires_at} />.{" "}
            {change.could_decide.length > 0
              ? `These could say yes now: ${change.could_decide.join(", ")}.`
              : "Nobody could say yes now: no other person may decide about the policy."}
          </ListItem>
        </List>
      </Alert>
      {!notMine && <ProofField label="Your password, to decide about the policy" proof={proof} onProof={setProof} />}
      <ProblemAlert error={yes.error ?? say.error} title="Nothing was changed" />
      <FormGroup label="Why not, or why it is withdrawn" fieldId="policy-text">
        <TextArea id="policy-text" rows={2} value={text} onChange={(_event, value) => setText(value)} />
      </FormGroup>
      {whyNotYes && <p className="dr-quiet">{whyNotYes}</p>}
      <div className="dr-actions">
        <ActButton
          variant="danger"
          whyNot={whyNotYes}
          isLoading={yes.isPending}
          isDisabled={busy}
          onClick={() => yes.mutate()}
        >
          Approve this policy
        </ActButton>
        <ActButton
          variant="secondary"
          whyNot={notMine || (text.trim() === "" ? "A no needs a reason." : "")}
          isDisabled={busy}
          onClick={() => say.mutate("decline")}
        >
          Decline the change
        </ActButton>
        <ActButton variant="secondary" whyNot={notAllowed} isDisabled={busy} onClick={() => say.mutate("withdraw")}>
          Withdraw the change
        </ActButton>
      </div>
    </Form>
  );
}
