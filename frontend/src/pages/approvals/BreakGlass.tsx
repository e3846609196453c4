import { ExpandableSection, Form, FormGroup, List, ListItem, TextArea } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { approvalBreakGlass } from "../../api/commands";
import type { Approval, Proof } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ConfirmByTyping } from "../../components/ConfirmByTyping";
import { ProblemAlert } from "../../components/Loaded";
import { isGiven, ProofField } from "../../components/ProofField";
import { useMay } from "../../lib/may";
import { count } from "../../lib/words";

/** The way on for one person when nobody else can be reached: folded away, loud afterwards. */
export function BreakGlass({ approval, looked }: { approval: Approval; looked: Approval | undefined }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <ExpandableSection
      toggleText="Nobody else can be reached"
      toggleId="break-glass"
      contentId="break-glass-content"
      isExpanded={isOpen}
      onToggle={(_event, open) => setOpen(open)}
    >
      <Alone approval={approval} looked={looked} />
    </ExpandableSection>
  );
}

function Alone({ approval, looked }: { approval: Approval; looked: Approval | undefined }) {
  const { whyNot: notAllowed } = useMay("break_glass", { plan: approval.plan_id });
  const [reason, setReason] = useState("");
  const [proof, setProof] = useState<Proof | null>(null);
  const [typed, setTyped] = useState("");
  const client = useQueryClient();
  const navigate = useNavigate();
  const alone = useMutation({
    mutationFn: () => approvalBreakGlass(approval, proof ?? {}, { phrase: typed, reason: reason.trim() }),
    onError: () => setProof(null),
    onSuccess: (found) => void navigate(`/runs/${found.run_id}`),
    onSettled: () => client.invalidateQueries({ queryKey: ["runs"] }),
  });
  const whyNot =
    notAllowed ||
    (looked === undefined ? "The sites have not been read on this page yet." : "") ||
    (looked?.differences?.some((each) => each.material) ? "The evidence has changed since it was frozen." : "") ||
    (reason.trim() === "" ? "Say why nobody else can say yes." : "") ||
    (isGiven(proof) ? "" : "Show first that it is you.") ||
    (typed === approval.glass_phrase ? "" : "Type the phrase first.");
  return (
    <Form onSubmit={(event) => event.preventDefault()}>
      <List>
        <ListItem>
          You begin the forced promotion of {count(approval.images, "image")} without another person's yes. What is sent
          is the same, and it is checked in the same way.
        </ListItem>
        <ListItem>
          Everybody is told at once: a red band on every page, and an alert through every channel that there is.
        </ListItem>
        <ListItem>
          Plan {approval.plan} is locked afterwards, failback included, until a manager who took no part has accepted
          the run. Only a fence of the lost site may still be asked for.
        </ListItem>
      </List>
      <FormGroup label="Why can nobody else say yes?" fieldId="glass-reason" isRequired>
        <TextArea id="glass-reason" rows={2} value={reason} onChange={(_event, value) => setReason(value)} />
      </FormGroup>
      <ProofField label="Your password, to go on alone" proof={proof} onProof={setProof} />
      <ConfirmByTyping phrase={approval.glass_phrase} typed={typed} onType={setTyped} />
      <div className="dr-actions">
        <ActButton
          variant="danger"
          whyNot={whyNot}
          isLoading={alone.isPending}
          isDisabled={alone.isPending}
          onClick={() => alone.mutate()}
        >
          {`Go on alone: force-promote ${count(approval.images, "image")} at ${approval.target_site}`}
        </ActButton>
      </div>
      {whyNot && <p className="dr-quiet">{whyNot}</p>}
      <ProblemAlert error={alone.error} title="Nothing was begun" />
    </Form>
  );
}
