import { Button, Card, CardBody, CardTitle } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { sessionRevoke } from "../../api/commands";
import { sessionsQuery } from "../../api/queries";
import type { BrowserSession } from "../../api/types";
import { Loaded, ProblemAlert } from "../../components/Loaded";
import { Age, Time } from "../../components/Time";
import { agentWords } from "../../lib/agent";

/** From where the person is signed in, and the way to end what should not be. */
export function SessionsCard() {
  const query = useQuery(sessionsQuery);
  return (
    <Card>
      <CardTitle component="h2">Where you are signed in</CardTitle>
      <CardBody className="dr-stack">
        <p>One that you do not know: end it, and change your password.</p>
        <Loaded query={query} what="Your sessions">
          {({ items }) => <Sessions sessions={items} />}
        </Loaded>
      </CardBody>
    </Card>
  );
}

function Sessions({ sessions }: { sessions: BrowserSession[] }) {
  const client = useQueryClient();
  const end = useMutation({
    mutationFn: sessionRevoke,
    onSettled: () => client.invalidateQueries({ queryKey: ["sessions"] }),
  });
  return (
    <>
      <ProblemAlert error={end.error} />
      <Table aria-label="Sessions" variant="compact">
        <Thead>
          <Tr>
            <Th>With</Th>
            <Th>From</Th>
            <Th>Since</Th>
            <Th>Last used</Th>
            <Th screenReaderText="End" />
          </Tr>
        </Thead>
        <Tbody>
          {sessions.map((session) => (
            <Tr key={session.id}>
              <Td dataLabel="With">
                <span title={session.agent}>{agentWords(session.agent)}</span>
              </Td>
              <Td dataLabel="From">{session.address}</Td>
              <Td dataLabel="Since">
                <Time at={session.started_at} />
              </Td>
              <Td dataLabel="Last used">{session.here ? "now, here" : <Age at={session.seen_at} />}</Td>
              <Td dataLabel="End">
                {!session.here && (
                  <Button
                    variant="link"
                    isDanger
                    isDisabled={end.isPending}
                    isInline
                    aria-label={`End the session from ${session.address}`}
                    onClick={() => end.mutate(session.id)}
                  >
                    End
                  </Button>
                )}
              </Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
    </>
  );
}
