import {
  Button,
  Checkbox,
  Form,
  FormGroup,
  FormSelect,
  FormSelectOption,
  TextArea,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { policyRequest } from "../../api/commands";
import type { PolicyPage } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ProblemAlert } from "../../components/Loaded";
import { useMay } from "../../lib/may";

/** Asks for another policy; it counts when another person has said yes. */
export function PolicyRequest({ page }: { page: PolicyPage }) {
  const [open, setOpen] = useState(false);
  const { may } = useMay("policy", "everywhere");
  if (!may) return null;
  if (open) return <Ask page={page} onClose={() => setOpen(false)} />;
  return (
    <div className="dr-actions">
      <Button variant="secondary" onClick={() => setOpen(true)}>
        Ask for another policy
      </Button>
    </div>
  );
}

function Ask({ page, onClose }: { page: PolicyPage; onClose: () => void }) {
  const client = useQueryClient();
  const [needed, setNeeded] = useState(String(page.policy.needed));
  const [minutes, setMinutes] = useState(String(page.policy.minutes));
  const [rung, setRung] = useState(page.policy.least_rung);
  const [glass, setGlass] = useState(page.policy.break_glass);
  const [reason, setReason] = useState("");
  const send = useMutation({
    mutationFn: () =>
      policyRequest({
        needed: Number(needed),
        minutes: Number(minutes),
        break_glass: glass,
        least_rung: rung,
        reason: reason.trim(),
      }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["runs"] });
      onClose();
    },
  });
  const isWithin = (text: string, most: number) => /^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= most;
  const whyNot =
    (isWithin(needed, page.most_needed) ? "" : `From 1 to ${page.most_needed} people.`) ||
    (isWithin(minutes, page.most_minutes) ? "" : `From 1 to ${page.most_minutes} minutes.`) ||
    (reason.trim() === "" ? "Say why." : "");
  return (
    <Form isWidthLimited onSubmit={(event) => event.preventDefault()}>
      <FormGroup label="How many other people must say yes" fieldId="policy-needed" isRequired>
        <TextInput id="policy-needed" type="number" value={needed} onChange={(_event, value) => setNeeded(value)} />
      </FormGroup>
      <FormGroup label="How many minutes a request stands" fieldId="policy-minutes" isRequired>
        <TextInput id="policy-minutes" type="number" value={minutes} onChange={(_event, value) => setMinutes(value)} />
      </FormGroup>
      <Checkbox
        id="policy-glass"
        label="One person may go on alone when nobody else can be reached (everybody is told, the plan is locked)"
        isChecked={glass}
        onChange={(_event, checked) => setGlass(checked)}
      />
      <FormGroup label="Below which fence rung nothing goes on, whatever the reason" fieldId="policy-rung">
        <FormSelect id="policy-rung" value={rung} onChange={(_event, value) => setRung(Number(value))}>
          {page.rungs.map((each) => (
            <FormSelectOption key={each.rung} value={each.rung} label={`${each.rung}: ${each.words}`} />
          ))}
        </FormSelect>
      </FormGroup>
      <FormGroup label="Why?" fieldId="policy-reason" isRequired>
        <TextArea id="policy-reason" rows={2} value={reason} onChange={(_event, value) => setReason(value)} />
      </FormGroup>
      <ProblemAlert error={send.error} title="Nothing was asked for" />
      {whyNot && <p className="dr-quiet">{whyNot}</p>}
      <div className="dr-actions">
        <ActButton whyNot={whyNot} isLoading={send.isPending} isDisabled={send.isPending} onClick={() => send.mutate()}>
          Ask for this policy
        </ActButton>
        <Button variant="link" onClick={onClose}>
          Leave without asking
        </Button>
      </div>
    </Form>
  );
}
