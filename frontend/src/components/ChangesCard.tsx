import { Button, Card, CardBody, CardTitle } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type ChangesOf, changesQuery } from "../api/queries";
import { useLive } from "../live/hooks";
import { Empty, Loaded } from "./Loaded";
import { Time } from "./Time";

/** What came, went or is different, newest first. A page of older ones takes the place of the newer ones. */
export function ChangesCard({ of, what }: { of: ChangesOf; what: string }) {
  const [before, setBefore] = useState<number>();
  const query = useQuery({ ...changesQuery(of, before), refetchInterval: useLive([]) });
  return (
    <Card>
      <CardTitle component="h2">What changed</CardTitle>
      <CardBody>
        <Loaded query={query} what="The history">
          {({ items, next }) => (
            <>
              {items.length === 0 ? (
                <Empty title={`No change of ${what} has been seen`} />
              ) : (
                <Table aria-label="What changed" variant="compact">
                  <Thead>
                    <Tr>
                      <Th>Seen</Th>
                      <Th>Change</Th>
                    </Tr>
                  </Thead>
                  <Tbody>
                    {items.map((one) => (
                      <Tr key={one.id}>
                        <Td dataLabel="Seen">
                          <Time at={one.at} />
                        </Td>
                        <Td dataLabel="Change">{one.sentence}</Td>
                      </Tr>
                    ))}
                  </Tbody>
                </Table>
              )}
              {before !== undefined && (
                <Button variant="link" onClick={() => setBefore(undefined)}>
                  Newest
                </Button>
              )}
              {next !== null && (
                <Button variant="link" onClick={() => setBefore(next)}>
                  Older
                </Button>
              )}
            </>
          )}
        </Loaded>
      </CardBody>
    </Card>
  );
}
