import {
  ActionGroup,
  Card,
  CardBody,
  CardTitle,
  Form,
  FormGroup,
  Grid,
  GridItem,
  TextArea,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { credentialSet } from "../../api/commands";
import type { Site } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ProblemAlert } from "../../components/Loaded";
import { Time } from "../../components/Time";
import { useMayAtSite } from "../../lib/may";

type Kind = keyof Site["credentials"];

const KINDS: { kind: Kind; label: string }[] = [
  { kind: "ssh_key", label: "SSH private key" },
  { kind: "opennebula_password", label: "OpenNebula password or token" },
];

/** Write only: what is stored can be replaced, and is never shown. */
export function CredentialsCard({ site }: { site: Site }) {
  return (
    <Card>
      <CardTitle component="h2">Credentials</CardTitle>
      <CardBody>
        <p>Stored encrypted. They can be replaced here and are never shown again.</p>
        <Grid hasGutter>
          {KINDS.map(({ kind, label }) => (
            <GridItem key={kind} md={6}>
              <Credential site={site} kind={kind} label={label} />
            </GridItem>
          ))}
        </Grid>
      </CardBody>
    </Card>
  );
}

function Credential({ site, kind, label }: { site: Site; kind: Kind; label: string }) {
  const client = useQueryClient();
  const { whyNot } = useMayAtSite("sites", site.slug);
  const [value, setValue] = useState("");
  const store = useMutation({
    mutationFn: () => credentialSet(site.slug, kind, value),
    onSuccess: () => {
      setValue("");
      return client.invalidateQueries({ queryKey: ["sites"] });
    },
  });
  const id = `credential-${kind}`;
  const changedAt = site.credentials[kind];
  return (
    <Form
      onSubmit={(event) => {
        event.preventDefault();
        if (value) store.mutate();
      }}
    >
      <FormGroup label={label} fieldId={id}>
        {kind === "ssh_key" ? (
          <TextArea
            id={id}
            value={value}
            rows={4}
            autoComplete="off"
            spellCheck="false"
            placeholder="-----BEGIN OPENSSH PRIVATE KEY-----"
            onChange={(_event, text) => setValue(text)}
          />
        ) : (
          <TextInput
            id={id}
            type="password"
            value={value}
            autoComplete="new-password"
            onChange={(_event, text) => setValue(text)}
          />
        )}
      </FormGroup>
      <p className="dr-quiet">
        {changedAt ? (
          <>
            Stored <Time at={changedAt} />
          </>
        ) : (
          "Nothing is stored yet."
        )}
      </p>
      <ProblemAlert error={store.error} />
      <ActionGroup>
        <ActButton
          type="submit"
          variant="secondary"
          whyNot={whyNot || (value ? "" : "Enter it first.")}
          isLoading={store.isPending}
        >
          {changedAt ? "Replace" : "Store"}
        </ActButton>
      </ActionGroup>
    </Form>
  );
}
