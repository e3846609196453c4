import { Button, Form, FormGroup, List, ListItem, TextInput } from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { witnessCreate, witnessDelete, witnessKeysAccept, witnessTest } from "../../api/commands";
import { witnessesQuery } from "../../api/queries";
import type { Pair, Witness } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { Command } from "../../components/Command";
import { Fold } from "../../components/Fold";
import { Loaded, ProblemAlert } from "../../components/Loaded";
import { ReasonDialog } from "../../components/ReasonDialog";
import { StateText } from "../../components/State";
import { Time } from "../../components/Time";
import { useMay } from "../../lib/may";
import type { Word } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { OfferedKeys, outcomeWord } from "./ConnectionTestCard";

/** The hosts at a third place that look at both sites by themselves. */
export function Witnesses({ pair }: { pair: Pair }) {
  const query = useQuery({ ...witnessesQuery(pair.id), refetchInterval: useLive(["sites"], "sites") });
  const { may } = useMay("sites", { pair: pair.id });
  const [adding, setAdding] = useState(false);
  return (
    <Loaded query={query} what="The witnesses">
      {({ items, most }) => (
        <div className="dr-stack">
          <p>
            When the portal and the other site lose a site, a cut line looks like a dead site. A host that hangs on
            neither line tells the two apart. What it sees never moves anything by itself.
          </p>
          {items.length === 0 && <p>There is none.</p>}
          {items.map((each) => (
            <OneWitness key={each.id} pair={pair} witness={each} />
          ))}
          {adding ? (
            <Add pair={pair} onClose={() => setAdding(false)} />
          ) : (
            may &&
            items.length < most && (
              <div className="dr-actions">
                <Button variant="secondary" onClick={() => setAdding(true)}>
                  Add a witness
                </Button>
              </div>
            )
          )}
        </div>
      )}
    </Loaded>
  );
}

function looksWord(witness: Witness): Word {
  if (witness.looks === null) return { word: "Not asked yet", tone: "unsure" };
  return witness.looks ? { word: "Looks", tone: "good" } : { word: "Cannot be asked", tone: "warn" };
}

function OneWitness({ pair, witness }: { pair: Pair; witness: Witness }) {
  const client = useQueryClient();
  const { whyNot } = useMay("sites", { pair: pair.id });
  const [removing, setRemoving] = useState(false);
  const test = useMutation({ mutationFn: () => witnessTest(pair.id, witness.id) });
  const remove = useMutation({
    mutationFn: () => witnessDelete(pair.id, witness.id),
    onSuccess: () => client.invalidateQueries({ queryKey: ["sites"] }),
  });
  return (
    <section aria-label={`Witness ${witness.name}`} className="dr-stack">
      <p>
        <strong>{witness.name}</strong>{" "}
        <span className="dr-mono">
          {witness.ssh_user}@{witness.ssh_host}:{witness.ssh_port}
        </span>{" "}
        <StateText state={looksWord(witness)} />
        {witness.looks === false && witness.since && (
          <>
            {" "}
            since <Time at={witness.since} />
          </>
        )}
        {witness.sentence && <span className="dr-quiet"> {witness.sentence}</span>}
      </p>
      <p className="dr-quiet">
        {witness.host_keys.length === 0
          ? "No host key is accepted yet: nothing is sent there. Test it, and compare what it shows."
          : `Accepted host key: ${witness.host_keys.map((key) => `${key.type} ${key.fingerprint}`).join(", ")}`}
      </p>
      <Fold head={`How ${witness.name} is set up`} open={witness.host_keys.length === 0}>
        <p>
          Put the site program there (manage.py site program, on the portal's host), and this line into the login's
          authorized_keys. Its key opens nothing but a look at addresses.
        </p>
        <Command text={witness.authorized_key} />
      </Fold>
      <div className="dr-actions">
        <ActButton variant="secondary" whyNot={whyNot} isLoading={test.isPending} onClick={() => test.mutate()}>
          {test.isPending ? "Trying…" : `Test ${witness.name}`}
        </ActButton>
        <ActButton variant="secondary" isDanger whyNot={whyNot} onClick={() => setRemoving(true)}>
          Remove {witness.name}
        </ActButton>
      </div>
      <ProblemAlert error={test.error} />
      {test.data && !test.isPending && (
        <div role="status" className="dr-stack">
          <p>
            <StateText state={outcomeWord(test.data.ssh.outcome)} />. {test.data.ssh.sentence}
          </p>
          <List isPlain>
            {test.data.sees.map((sentence) => (
              <ListItem key={sentence}>{sentence}</ListItem>
            ))}
          </List>
        </div>
      )}
      {test.data && !test.isPending && (
        <OfferedKeys
          key={test.submittedAt}
          name={witness.name}
          known={witness.host_keys.length}
          offered={test.data.ssh.offered_keys ?? []}
          accept={(lines) => witnessKeysAccept(pair.id, witness.id, witness.version, lines)}
          onAccepted={() => test.mutate()}
        />
      )}
      {removing && (
        <ReasonDialog
          title={`Remove the witness ${witness.name}?`}
          consequences={[
            "The portal forgets its key and what it has seen. What is frozen with evidence stays.",
            "From then on only the portal and the other site look at a site that is silent.",
          ]}
          button={`Remove ${witness.name}`}
          danger
          withReason={false}
          busy={remove.isPending}
          error={remove.error}
          onConfirm={() => remove.mutate()}
          onClose={() => setRemoving(false)}
        />
      )}
    </section>
  );
}

function Add({ pair, onClose }: { pair: Pair; onClose: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [host, setHost] = useState("");
  const [port, setPort] = useState("22");
  const [user, setUser] = useState("drportal");
  const create = useMutation({
    mutationFn: () =>
      witnessCreate(pair.id, {
        name: name.trim(),
        ssh_host: host.trim(),
        ssh_port: Number(port),
        ssh_user: user.trim(),
        host_keys: [],
      }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["sites"] });
      onClose();
    },
  });
  const whyNot =
    (name.trim() ? "" : "Give it a name.") ||
    (host.trim() ? "" : "Name its host.") ||
    (user.trim() ? "" : "Name its login.") ||
    (/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535 ? "" : "A port is from 1 to 65535.");
  return (
    <Form isWidthLimited aria-label="A new witness" onSubmit={(event) => event.preventDefault()}>
      <FormGroup label="Name" fieldId="witness-name" isRequired>
        <TextInput id="witness-name" value={name} onChange={(_event, value) => setName(value)} />
      </FormGroup>
      <FormGroup label="SSH host" fieldId="witness-host" isRequired>
        <TextInput id="witness-host" value={host} onChange={(_event, value) => setHost(value)} />
      </FormGroup>
      <FormGroup label="SSH port" fieldId="witness-port" isRequired>
        <TextInput id="witness-port" type="number" value={port} onChange={(_event, value) => setPort(value)} />
      </FormGroup>
      <FormGroup label="Login" fieldId="witness-user" isRequired>
        <TextInput id="witness-user" value={user} onChange={(_event, value) => setUser(value)} />
      </FormGroup>
      <p className="dr-quiet">
        The portal makes a key of its own for it, and shows the line that is to be put there. Nothing is sent before its
        host key has been accepted.
      </p>
      <ProblemAlert error={create.error} title="No witness was added" />
      {whyNot && <p className="dr-quiet">{whyNot}</p>}
      <div className="dr-actions">
        <ActButton
          whyNot={whyNot}
          isLoading={create.isPending}
          isDisabled={create.isPending}
          onClick={() => create.mutate()}
        >
          Add the witness
        </ActButton>
        <Button variant="link" onClick={onClose}>
          Leave without adding
        </Button>
      </div>
    </Form>
  );
}
