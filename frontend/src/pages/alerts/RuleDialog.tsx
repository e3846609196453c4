import {
  Button,
  Checkbox,
  Form,
  FormGroup,
  FormSelect,
  FormSelectOption,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ruleSave } from "../../api/commands";
import type { AlertRule, AlertRuleIn, Alerts } from "../../api/types";
import { ProblemAlert } from "../../components/Loaded";

type Draft = {
  name: string;
  kind: AlertRuleIn["kind"];
  minutes: string;
  enabled: boolean;
  urgent: boolean;
  quiet_from: string;
  quiet_until: string;
  zone: string;
  channels: number[];
};

const draftOf = (rule: AlertRule | null): Draft => ({
  name: rule?.name ?? "",
  kind: rule?.kind ?? "exposure",
  minutes: String((rule?.for_s ?? 0) / 60),
  enabled: rule?.enabled ?? true,
  urgent: rule?.urgent ?? false,
  quiet_from: rule?.quiet_from?.slice(0, 5) ?? "",
  quiet_until: rule?.quiet_until?.slice(0, 5) ?? "",
  zone: rule?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
  channels: rule?.channels ?? [],
});

const bodyOf = ({ minutes, quiet_from, quiet_until, ...rest }: Draft): AlertRuleIn => ({
  ...rest,
  for_s: Math.round(Number(minutes) * 60),
  quiet_from: quiet_from || null,
  quiet_until: quiet_until || null,
});

export function RuleDialog({ rule, alerts, onClose }: { rule: AlertRule | null; alerts: Alerts; onClose: () => void }) {
  const client = useQueryClient();
  const [draft, setDraft] = useState<Draft>(() => draftOf(rule));
  const put = (changes: Partial<Draft>) => setDraft((was) => ({ ...was, ...changes }));
  const save = useMutation({
    mutationFn: () => ruleSave(rule?.id ?? null, bodyOf(draft)),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["alerts"] });
      onClose();
    },
  });
  const text = (key: "name" | "minutes" | "zone", label: string) => (
    <FormGroup label={label} fieldId={`rule-${key}`}>
      <TextInput id={`rule-${key}`} value={draft[key]} onChange={(_event, value) => put({ [key]: value })} />
    </FormGroup>
  );
  const time = (key: "quiet_from" | "quiet_until", label: string) => (
    <FormGroup label={label} fieldId={`rule-${key}`}>
      <TextInput
        id={`rule-${key}`}
        type="time"
        value={draft[key]}
        onChange={(_event, value) => put({ [key]: value })}
      />
    </FormGroup>
  );
  return (
    <Modal variant="medium" isOpen onClose={onClose} aria-labelledby="rule-title">
      <ModalHeader title={rule ? `Change the rule ${rule.name}` : "A new rule"} labelId="rule-title" />
      <ModalBody>
        <ProblemAlert error={save.error} title="The rule was not saved" />
        <Form
          id="rule-form"
          onSubmit={(event) => {
            event.preventDefault();
            save.mutate();
          }}
        >
          {text("name", "Name")}
          <FormGroup label="Tell when" fieldId="rule-kind">
            <FormSelect
              id="rule-kind"
              value={draft.kind}
              onChange={(_event, value) => put({ kind: value as Draft["kind"] })}
            >
              {alerts.kinds.map((one) => (
                <FormSelectOption key={one.kind} value={one.kind} label={one.sentence} />
              ))}
            </FormSelect>
          </FormGroup>
          {text("minutes", "For at least, minutes")}
          <FormGroup label="Channels" role="group" fieldId="rule-channels">
            {alerts.channels.length === 0 && "There is none yet: the alert is only shown on this page."}
            {alerts.channels.map((channel) => (
              <Checkbox
                key={channel.id}
                id={`rule-channel-${channel.id}`}
                label={channel.name}
                isChecked={draft.channels.includes(channel.id)}
                onChange={(_event, checked) =>
                  put({
                    channels: checked
                      ? [...draft.channels, channel.id]
                      : draft.channels.filter((id) => id !== channel.id),
                  })
                }
              />
            ))}
          </FormGroup>
          {time("quiet_from", "Quiet from")}
          {time("quiet_until", "Quiet until")}
          {text("zone", "Time zone of the quiet hours")}
          <Checkbox
            id="rule-urgent"
            label="Urgent: told in quiet hours too"
            isChecked={draft.urgent}
            onChange={(_event, urgent) => put({ urgent })}
          />
          <Checkbox
            id="rule-enabled"
            label="Switched on"
            isChecked={draft.enabled}
            onChange={(_event, enabled) => put({ enabled })}
          />
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="rule-form" isDisabled={draft.name === "" || save.isPending}>
          Save the rule
        </Button>
        <Button variant="link" onClick={onClose}>
          Leave it
        </Button>
      </ModalFooter>
    </Modal>
  );
}
