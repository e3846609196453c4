import { Card, CardBody, CardTitle, PageSection } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { pairsQuery, sitesQuery } from "../../api/queries";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { YesNo } from "../../components/State";
import { Age } from "../../components/Time";
import { useMay } from "../../lib/may";
import { useLive } from "../../live/hooks";
import { PairCards } from "./PairCards";

export function SitesPage() {
  const poll = useLive(["sites"], "sites");
  const sites = useQuery({ ...sitesQuery, refetchInterval: poll });
  const pairs = useQuery({ ...pairsQuery, refetchInterval: poll });
  const { whyNot } = useMay("sites", "everywhere");
  const add = (
    <LinkButton to="/sites/new" whyNot={whyNot}>
      Set up a site
    </LinkButton>
  );
  return (
    <>
      <PageHead title="Sites" actions={add}>
        A site is one OpenNebula front end and one Ceph cluster. Two of them that mirror each other are a pair.
      </PageHead>
      <PageSection className="dr-stack">
        <Loaded query={sites} what="The sites">
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="No site is set up yet" action={add}>
                Have its SSH host, its OpenNebula address and their credentials at hand.
              </Empty>
            ) : (
              <>
                <Card>
                  <CardTitle component="h2">Sites</CardTitle>
                  <CardBody>
                    <Table aria-label="Sites" variant="compact">
                      <Thead>
                        <Tr>
                          <Th>Site</Th>
                          <Th>Reachable</Th>
                          <Th>Last heard</Th>
                          <Th>SSH</Th>
                          <Th>Ceph</Th>
                          <Th>OpenNebula</Th>
                        </Tr>
                      </Thead>
                      <Tbody>
                        {items.map((site) => (
                          <Tr key={site.slug}>
                            <Td dataLabel="Site">
                              <Link to={`/sites/${site.slug}`}>{site.name}</Link>
                            </Td>
                            <Td dataLabel="Reachable">
                              <YesNo
                                value={site.reachable}
                                yes={{ word: "Reachable", tone: "good" }}
                                no={{ word: "Not reachable", tone: "bad" }}
                              />
                            </Td>
                            <Td dataLabel="Last heard">
                              <Age at={site.last_heard} stale_after_s={30} />
                            </Td>
                            <Td dataLabel="SSH">
                              {site.ssh_user}@{site.ssh_host}:{site.ssh_port}
                            </Td>
                            <Td dataLabel="Ceph">{site.ceph_version || "version not read"}</Td>
                            <Td dataLabel="OpenNebula">
                              {site.opennebula_url} {site.opennebula_version}
                            </Td>
                          </Tr>
                        ))}
                      </Tbody>
                    </Table>
                  </CardBody>
                </Card>
                <Loaded query={pairs} what="The pairs">
                  {(known) => <PairCards pairs={known.items} sites={items} />}
                </Loaded>
              </>
            )
          }
        </Loaded>
      </PageSection>
    </>
  );
}
