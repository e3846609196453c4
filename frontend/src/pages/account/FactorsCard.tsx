import { Alert, Button, Card, CardBody, CardTitle, Form, FormGroup, TextInput } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { appAdd, appBegin, factorRemove, keyAdd, keyBegin, keyRename, recoveryRenew } from "../../api/commands";
import { factorsQuery, sessionQuery } from "../../api/queries";
import type { Factor, Factors } from "../../api/types";
import { Command } from "../../components/Command";
import { Empty, Loaded, ProblemAlert } from "../../components/Loaded";
import { Age, Time } from "../../components/Time";
import { newKey } from "../../lib/securityKey";
import { count } from "../../lib/words";

/** What is asked for besides the password when signing in: seen, added, named and removed. */
export function FactorsCard() {
  const query = useQuery(factorsQuery);
  const client = useQueryClient();
  const [codes, setCodes] = useState<string[]>([]);
  // Who had to set one up may do more from now on; but first the codes are to be kept.
  const goOn = () => {
    setCodes([]);
    return client.invalidateQueries({ queryKey: sessionQuery.queryKey });
  };
  const added = async (fresh: string[]) => {
    setCodes(fresh);
    await client.invalidateQueries({ queryKey: factorsQuery.queryKey });
    if (fresh.length === 0) await goOn();
  };
  return (
    <Card>
      <CardTitle component="h2">Second factor</CardTitle>
      <CardBody className="dr-stack">
        <p>
          With one, a password alone opens nothing. Add two, if you can: a key in the drawer for the day when the
          telephone is lost.
        </p>
        {codes.length > 0 && <Codes codes={codes} onKept={() => void goOn()} />}
        <Loaded query={query} what="Your second factors">
          {(factors) => (
            <>
              {factors.items.length === 0 ? (
                <Empty title="You have no second factor" />
              ) : (
                <FactorTable factors={factors} onCodes={setCodes} />
              )}
              {!factors.items.some((factor) => factor.type === "totp") && <NewApp onAdded={added} />}
              <NewKey onAdded={added} />
            </>
          )}
        </Loaded>
      </CardBody>
    </Card>
  );
}

function Codes({ codes, onKept }: { codes: string[]; onKept: () => void }) {
  return (
    <Alert variant="warning" isInline component="h3" title="Your recovery codes, shown this once">
      <p>Each opens once, when app and key are out of reach. Keep them where neither is: on paper, in a safe.</p>
      <Command text={codes.join("\n")} />
      <Button variant="secondary" onClick={onKept}>
        I have kept them
      </Button>
    </Alert>
  );
}

function FactorTable({ factors, onCodes }: { factors: Factors; onCodes: (codes: string[]) => void }) {
  const client = useQueryClient();
  const again = () => client.invalidateQueries({ queryKey: factorsQuery.queryKey });
  const remove = useMutation({
    mutationFn: factorRemove,
    onSettled: () => Promise.all([again(), client.invalidateQueries({ queryKey: sessionQuery.queryKey })]),
  });
  const renew = useMutation({
    mutationFn: recoveryRenew,
    onSuccess: ({ recovery_codes }) => {
      onCodes(recovery_codes);
      return again();
    },
  });
  return (
    <>
      <ProblemAlert error={remove.error ?? renew.error} />
      <Table aria-label="Second factors" variant="compact">
        <Thead>
          <Tr>
            <Th>Name</Th>
            <Th>What it is</Th>
            <Th>Added</Th>
            <Th>Last used</Th>
            <Th screenReaderText="Remove" />
          </Tr>
        </Thead>
        <Tbody>
          {factors.items.map((factor) => (
            <Tr key={factor.id}>
              <Td dataLabel="Name">{factor.type === "webauthn" ? <Name factor={factor} /> : factor.name}</Td>
              <Td dataLabel="What it is">
                {factor.type === "webauthn" ? "a security key" : "an app that shows codes"}
              </Td>
              <Td dataLabel="Added">
                <Time at={factor.created_at} />
              </Td>
              <Td dataLabel="Last used">{factor.last_used_at ? <Age at={factor.last_used_at} /> : "not yet"}</Td>
              <Td dataLabel="Remove">
                <Button
                  variant="link"
                  isDanger
                  isInline
                  isDisabled={remove.isPending}
                  aria-label={`Remove ${factor.name}`}
                  onClick={() => remove.mutate(factor.id)}
                >
                  Remove
                </Button>
              </Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
      <p>
        {count(factors.recovery_left, "recovery code")} left.{" "}
        <Button variant="link" isInline isDisabled={renew.isPending} onClick={() => renew.mutate()}>
          Make new ones
        </Button>
      </p>
    </>
  );
}

/** A key's name, and the way to another. */
function Name({ factor }: { factor: Factor }) {
  const client = useQueryClient();
  const [name, setName] = useState<string | null>(null);
  const rename = useMutation({
    mutationFn: (to: string) => keyRename(factor.id, to),
    onSuccess: () => {
      setName(null);
      return client.invalidateQueries({ queryKey: factorsQuery.queryKey });
    },
  });
  if (name === null) {
    return (
      <>
        {factor.name}{" "}
        <Button variant="link" isInline aria-label={`Rename ${factor.name}`} onClick={() => setName(factor.name)}>
          Rename
        </Button>
      </>
    );
  }
  return (
    <div className="dr-actions">
      <TextInput
        aria-label={`Another name for ${factor.name}`}
        value={name}
        maxLength={60}
        onChange={(_event, value) => setName(value)}
      />
      <Button
        variant="secondary"
        isDisabled={rename.isPending || !name.trim()}
        onClick={() => rename.mutate(name.trim())}
      >
        Save
      </Button>
      {rename.error && <p role="alert">{rename.error.message}</p>}
    </div>
  );
}

type OnAdded = (codes: string[]) => Promise<void>;

function NewApp({ onAdded }: { onAdded: OnAdded }) {
  const [code, setCode] = useState("");
  const begin = useMutation({ mutationFn: appBegin });
  const add = useMutation({
    mutationFn: () => appAdd(code),
    onSuccess: ({ recovery_codes }) => onAdded(recovery_codes),
  });
  if (begin.data === undefined) {
    return (
      <div className="dr-stack">
        <ProblemAlert error={begin.error} />
        <Button variant="secondary" isLoading={begin.isPending} onClick={() => begin.mutate()}>
          Set up an app that shows codes
        </Button>
      </div>
    );
  }
  return (
    <Form
      isWidthLimited
      onSubmit={(event) => {
        event.preventDefault();
        add.mutate();
      }}
    >
      <p>Point the app (any for TOTP) at this picture, or type the secret into it:</p>
      <img
        className="dr-qr"
        alt="QR code with the secret"
        src={`data:image/svg+xml,${encodeURIComponent(begin.data.picture)}`}
      />
      <Command text={begin.data.secret} />
      <FormGroup label="The code that it shows now" fieldId="app-code" isRequired>
        <TextInput
          id="app-code"
          value={code}
          inputMode="numeric"
          autoComplete="one-time-code"
          maxLength={40}
          onChange={(_event, value) => setCode(value)}
        />
      </FormGroup>
      <ProblemAlert error={add.error} />
      <div>
        <Button type="submit" variant="secondary" isLoading={add.isPending} isDisabled={add.isPending || !code.trim()}>
          Add the app
        </Button>
      </div>
    </Form>
  );
}

function NewKey({ onAdded }: { onAdded: OnAdded }) {
  const [name, setName] = useState("");
  const add = useMutation({
    mutationFn: async () => keyAdd(name.trim(), await newKey((await keyBegin()).public_key)),
    onSuccess: ({ recovery_codes }) => {
      setName("");
      return onAdded(recovery_codes);
    },
  });
  return (
    <Form
      isWidthLimited
      onSubmit={(event) => {
        event.preventDefault();
        add.mutate();
      }}
    >
      <FormGroup label="A security key: what do you call it?" fieldId="key-name">
        <TextInput id="key-name" value={name} maxLength={60} onChange={(_event, value) => setName(value)} />
      </FormGroup>
      <ProblemAlert error={add.error} />
      <div>
        <Button type="submit" variant="secondary" isLoading={add.isPending} isDisabled={add.isPending || !name.trim()}>
          Add the key
        </Button>
      </div>
    </Form>
  );
}
