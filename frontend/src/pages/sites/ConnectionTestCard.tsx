import { Alert, Card, CardBody, CardTitle, Checkbox, Flex, List, ListItem } from "@patternfly/react-core";
import { Table, Tbody, Td, Tr } from "@patternfly/react-table";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { connectionTest, hostKeysAccept } from "../../api/commands";
import type { ConnectionTest, OfferedKey, Site } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ProblemAlert } from "../../components/Loaded";
import { StateText } from "../../components/State";
import { useMayAtSite } from "../../lib/may";
import type { Word } from "../../lib/words";

const OUTCOMES: Record<string, Word> = {
  ok: { word: "Works", tone: "good" },
  host_key_not_accepted: { word: "Host key not accepted yet", tone: "warn" },
  identity_changed: { word: "Another identity than accepted", tone: "bad" },
  refused: { word: "Refused", tone: "bad" },
  unreachable: { word: "Not reachable", tone: "bad" },
};

export const outcomeWord = (code: string): Word =>
  OUTCOMES[code] ?? { word: code.replaceAll("_", " "), tone: "unsure" };

/** Tries the stored addresses and secrets now, and lets a person accept the host keys that are shown. */
export function ConnectionTestCard({ site }: { site: Site }) {
  const { whyNot } = useMayAtSite("sites", site.slug);
  const test = useMutation({
    mutationFn: () =>
      connectionTest({
        slug: site.slug,
        ssh_host: site.ssh_host,
        ssh_port: site.ssh_port,
        ssh_user: site.ssh_user,
        opennebula_url: site.opennebula_url,
        opennebula_user: site.opennebula_user,
      }),
  });
  return (
    <Card>
      <CardTitle component="h2">Connection test</CardTitle>
      <CardBody className="dr-stack">
        <p>Signs in over SSH, asks Ceph and OpenNebula one harmless question each, and changes nothing.</p>
        <ActButton variant="secondary" whyNot={whyNot} isLoading={test.isPending} onClick={() => test.mutate()}>
          {test.isPending ? "Trying…" : "Test the connection"}
        </ActButton>
        <ProblemAlert error={test.error} />
        {test.data && !test.isPending && (
          <>
            <TestResult result={test.data} />
            <OfferedKeys
              key={test.submittedAt}
              name={site.name}
              known={site.host_keys.length}
              offered={test.data.ssh.offered_keys}
              accept={(lines) => hostKeysAccept(site.slug, site.version, lines)}
              onAccepted={() => test.mutate()}
            />
          </>
        )}
      </CardBody>
    </Card>
  );
}

export function TestResult({ result }: { result: ConnectionTest }) {
  const rows = [
    { word: "SSH", part: result.ssh, version: "" },
    { word: "Ceph", part: result.ceph, version: result.ceph.version },
    { word: "OpenNebula", part: result.opennebula, version: result.opennebula.version },
  ];
  return (
    <Table aria-label="Result of the connection test" variant="compact">
      <Tbody>
        {rows.map(({ word, part, version }) => (
          <Tr key={word}>
            <Td width={10}>{word}</Td>
            <Td width={25}>
              <StateText state={outcomeWord(part.outcome)} />
            </Td>
            <Td>
              {part.sentence} {version}
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

/** The fingerprints the host shows now. Only a person who has them from elsewhere can know that they are right. */
export function OfferedKeys({
  name,
  known,
  offered,
  accept: send,
  onAccepted,
}: {
  name: string;
  /** How many keys of it are accepted already. */
  known: number;
  offered: OfferedKey[];
  accept: (lines: string[]) => Promise<unknown>;
  onAccepted: () => void;
}) {
  const client = useQueryClient();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const accept = useMutation({
    mutationFn: () => send(offered.filter((key) => key.accepted || chosen.has(key.line)).map((key) => key.line)),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["sites"] });
      onAccepted();
    },
  });
  const fresh = offered.filter((key) => !key.accepted);
  if (fresh.length === 0) return null;
  return (
    <>
      <Alert variant={known > 0 ? "danger" : "warning"} isInline title="The host shows keys that nobody has accepted">
        Compare the fingerprints with the ones on the host itself (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub),
        over another way than this connection. Accept only what is the same. Keys that are accepted now replace those
        accepted before that the host no longer shows.
      </Alert>
      <List isPlain>
        {fresh.map((key) => (
          <ListItem key={key.line}>
            <Checkbox
              id={key.fingerprint}
              label={
                <>
                  {key.type} <span className="dr-mono">{key.fingerprint}</span>
                </>
              }
              isChecked={chosen.has(key.line)}
              onChange={(_event, checked) => {
                const next = new Set(chosen);
                if (checked) next.add(key.line);
                else next.delete(key.line);
                setChosen(next);
              }}
            />
          </ListItem>
        ))}
      </List>
      <ProblemAlert error={accept.error} />
      <Flex>
        <ActButton
          variant="primary"
          whyNot={chosen.size === 0 ? "Choose the keys you have compared." : ""}
          isLoading={accept.isPending}
          onClick={() => accept.mutate()}
        >
          Accept {chosen.size} compared {chosen.size === 1 ? "key" : "keys"} for {name}
        </ActButton>
      </Flex>
    </>
  );
}
