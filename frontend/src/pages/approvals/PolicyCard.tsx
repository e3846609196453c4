import { Card, CardBody, CardTitle, List, ListItem } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { policyQuery } from "../../api/queries";
import type { PolicyPage } from "../../api/types";
import { Fold } from "../../components/Fold";
import { Loaded } from "../../components/Loaded";
import { StateText } from "../../components/State";
import { Time } from "../../components/Time";
import { policyWord } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { PolicyDecide } from "./PolicyDecide";
import { PolicyRequest } from "./PolicyRequest";

/** How many people a forced promotion takes; and the change of that which waits for a second person. */
export function PolicyCard() {
  const query = useQuery({ ...policyQuery, refetchInterval: useLive(["runs"]) });
  return (
    <Card>
      <CardTitle component="h2">Approval policy</CardTitle>
      <CardBody>
        <Loaded query={query} what="The approval policy">
          {(page) => <ThePolicy page={page} />}
        </Loaded>
      </CardBody>
    </Card>
  );
}

function ThePolicy({ page }: { page: PolicyPage }) {
  return (
    <div className="dr-stack">
      <List>
        <ListItem>{page.policy.words}</ListItem>
        <ListItem>{page.rule}</ListItem>
        <ListItem>Nobody changes it alone: one person asks, another one says yes.</ListItem>
      </List>
      {page.pending ? <PolicyDecide change={page.pending} /> : <PolicyRequest page={page} />}
      {page.history.length > 0 && (
        <Fold head="Changes that were decided">
          <Table aria-label="Changes of the approval policy" variant="compact">
            <Thead>
              <Tr>
                <Th>Asked for</Th>
                <Th>State</Th>
                <Th>What</Th>
                <Th>Why</Th>
              </Tr>
            </Thead>
            <Tbody>
              {page.history.map((each) => (
                <Tr key={each.id}>
                  <Td dataLabel="Asked for">
                    {each.requested_by}, <Time at={each.created_at} />
                  </Td>
                  <Td dataLabel="State">
                    <StateText state={policyWord(each.state)} /> {each.sentence}
                  </Td>
                  <Td dataLabel="What">{each.policy.words}</Td>
                  <Td dataLabel="Why">{each.reason}</Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        </Fold>
      )}
    </div>
  );
}
