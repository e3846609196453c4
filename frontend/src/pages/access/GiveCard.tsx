import {
  ActionGroup,
  Card,
  CardBody,
  CardTitle,
  Form,
  FormGroup,
  FormSelect,
  FormSelectOption,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { grantGive } from "../../api/commands";
import type { Access, GrantIn } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ProblemAlert } from "../../components/Loaded";
import { useMe } from "../../lib/may";

const NEW = { username: "", role: "", where: "0", until: "", reason: "" };

/** Gives somebody a role, with a reason. Nobody is offered their own name. */
export function GiveCard({ access }: { access: Access }) {
  const me = useMe();
  const client = useQueryClient();
  const [fields, setFields] = useState(NEW);
  const set = (changed: Partial<typeof NEW>) => setFields((before) => ({ ...before, ...changed }));
  const scope = access.scopes[Number(fields.where)];
  const give = useMutation({
    mutationFn: () =>
      grantGive({
        username: fields.username,
        role: fields.role as GrantIn["role"],
        pair_id: scope?.pair_id ?? null,
        plan_id: scope?.plan_id ?? null,
        until: fields.until ? new Date(fields.until).toISOString() : null,
        reason: fields.reason.trim(),
      }),
    onSuccess: async () => {
      setFields(NEW);
      await client.invalidateQueries({ queryKey: ["access"] });
    },
  });
  const others = access.people.filter((person) => person.username !== me.username && person.active);
  const missing =
    (fields.username === "" ? "Choose a person first." : "") ||
    (fields.role === "" ? "Choose a role first." : "") ||
    (fields.reason.trim() === "" ? "Say why first: it is shown here and stands in the trail." : "");
  return (
    <Card>
      <CardTitle component="h2">Give a role</CardTitle>
      <CardBody>
        <Form isWidthLimited onSubmit={(event) => event.preventDefault()}>
          <FormGroup label="Person" fieldId="give-person">
            <Choice id="give-person" value={fields.username} onChange={(username) => set({ username })}>
              {others.map((person) => [person.username, person.name])}
            </Choice>
          </FormGroup>
          <FormGroup label="Role" fieldId="give-role">
            <Choice id="give-role" value={fields.role} onChange={(role) => set({ role })}>
              {access.roles.map((role) => [role.role, role.role])}
            </Choice>
          </FormGroup>
          <FormGroup label="Where" fieldId="give-where">
            <FormSelect id="give-where" value={fields.where} onChange={(_event, where) => set({ where })}>
              {access.scopes.map((one, index) => (
                <FormSelectOption key={one.where} value={String(index)} label={one.where} />
              ))}
            </FormSelect>
          </FormGroup>
          <FormGroup label="Until (your time; empty: no end)" fieldId="give-until">
            <TextInput
              id="give-until"
              type="datetime-local"
              value={fields.until}
              onChange={(_event, until) => set({ until })}
            />
          </FormGroup>
          <FormGroup label="Why?" fieldId="give-reason" isRequired>
            <TextInput id="give-reason" value={fields.reason} onChange={(_event, reason) => set({ reason })} />
          </FormGroup>
          <ProblemAlert error={give.error} title="Nothing was given" />
          <ActionGroup>
            <ActButton whyNot={missing} isLoading={give.isPending} onClick={() => give.mutate()}>
              Give the role
            </ActButton>
          </ActionGroup>
        </Form>
      </CardBody>
    </Card>
  );
}

function Choice({
  id,
  value,
  onChange,
  children,
}: {
  id: string;
  value: string;
  onChange: (value: string) => void;
  children: (readonly [string, string])[];
}) {
  return (
    <FormSelect id={id} value={value} onChange={(_event, chosen) => onChange(chosen)}>
      <FormSelectOption value="" label="Choose" isPlaceholder />
      {children.map(([word, label]) => (
        <FormSelectOption key={word} value={word} label={label} />
      ))}
    </FormSelect>
  );
}
