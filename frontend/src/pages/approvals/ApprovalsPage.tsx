import { PageSection } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { approvalsQuery } from "../../api/queries";
import { Empty, Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { StateText } from "../../components/State";
import { Time } from "../../components/Time";
import { useSiteName } from "../../lib/siteName";
import { approvalWord } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { PolicyCard } from "./PolicyCard";

/** What a second person was asked, newest first; what was declined, expired or became void stays. */
export function ApprovalsPage() {
  const name = useSiteName();
  const query = useQuery({ ...approvalsQuery, refetchInterval: useLive(["runs"]) });
  return (
    <>
      <PageHead title="Approvals">A forced promotion needs the yes of somebody who did not ask for it.</PageHead>
      <PageSection className="dr-stack">
        <Loaded query={query} what="The approvals">
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="Nobody has asked for an approval yet">
                A request is made on the page Disaster failover.
              </Empty>
            ) : (
              <Table aria-label="Approvals" variant="compact">
                <Thead>
                  <Tr>
                    <Th>Request</Th>
                    <Th>State</Th>
                    <Th>From and to</Th>
                    <Th>Images</Th>
                    <Th>Asked for by</Th>
                    <Th>Expires</Th>
                  </Tr>
                </Thead>
                <Tbody>
                  {items.map((each) => (
                    <Tr key={each.id}>
                      <Td dataLabel="Request">
                        <Link to={`/approvals/${each.id}`}>
                          {each.id} {each.plan}
                        </Link>
                      </Td>
                      <Td dataLabel="State">
                        <StateText state={approvalWord(each.state)} title={each.sentence} />
                      </Td>
                      <Td dataLabel="From and to">
                        {name(each.source_site)} → {name(each.target_site)}
                      </Td>
                      <Td dataLabel="Images">{each.images}</Td>
                      <Td dataLabel="Asked for by">{each.requested_by}</Td>
                      <Td dataLabel="Expires">
                        <Time at={each.expires_at} />
                      </Td>
                    </Tr>
                  ))}
                </Tbody>
              </Table>
            )
          }
        </Loaded>
        <PolicyCard />
      </PageSection>
    </>
  );
}
