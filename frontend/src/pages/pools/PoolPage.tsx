import { Card, CardBody, CardTitle, DescriptionList, PageSection } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { poolQuery } from "../../api/queries";
import type { PoolDetail, PoolState } from "../../api/types";
import { ChangesCard } from "../../components/ChangesCard";
import { ExposureCard } from "../../components/ExposureCard";
import { Empty, Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { ScheduleFact } from "../../components/ScheduleFact";
import { StateText, VerdictText } from "../../components/State";
import { Age, Time } from "../../components/Time";
import { useSiteName } from "../../lib/siteName";
import { exposureWord } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { Fact } from "../runs/RunFacts";
import { VerdictCounts } from "./PoolsPage";

export function PoolPage() {
  const params = useParams();
  const pair = Number(params.pair);
  const name = params.name ?? "";
  const query = useQuery({ ...poolQuery(pair, name), refetchInterval: useLive([`pair:${pair}`]) });
  return (
    <Loaded query={query} what={`Pool ${name}`}>
      {(pool) => (
        <>
          <PageHead title={`Pool ${pool.name}`} crumbs={[{ to: "/pools", text: "Pools" }]}>
            {pool.images} images.{" "}
            {pool.unbounded > 0 && `${pool.unbounded} of them have no bound on what would be lost.`}
          </PageHead>
          <PageSection className="dr-stack">
            <VerdictCounts pool={pool} />
            <div className="dr-sides">
              {Object.entries(pool.sides).map(([site, side]) => (
                <SideCard key={site} site={site} side={side} />
              ))}
            </div>
            <ExposureCard of={{ what: "pool", pair, name }} />
            <MostExposed pool={pool} />
            <ChangesCard of={{ pair, kind: "pool", subject: name }} what="this pool" />
          </PageSection>
        </>
      )}
    </Loaded>
  );
}

function SideCard({ site, side }: { site: string; side: PoolState | null | undefined }) {
  const name = useSiteName();
  return (
    <Card isCompact variant="secondary">
      <CardTitle component="h2">{name(site)}</CardTitle>
      <CardBody>
        {side ? (
          <DescriptionList isCompact>
            {side.gone_at && (
              <Fact term="Gone">
                <StateText state={{ word: "There is no such pool here any more", tone: "bad" }} />, seen first{" "}
                <Time at={side.gone_at} />. The rest is as it was.
              </Fact>
            )}
            <Fact term="Mirroring">{side.mode || "not told"}</Fact>
            <Fact term="Peers">
              {side.peers.length === 0
                ? "none"
                : side.peers.map((peer) => `${peer.site_name || peer.uuid} (${peer.direction})`).join(", ")}
            </Fact>
            <Fact term="Mirror daemons">
              {side.daemons.length === 0
                ? "none is heard of"
                : side.daemons
                    .map((one) => `${one.hostname}${one.leader ? " (leader)" : ""}: ${one.health}, Ceph ${one.version}`)
                    .join("; ")}
            </Fact>
            {side.schedules && <ScheduleFact schedule={side.schedules} none="none for the pool" />}
            <Fact term="Ceph's own word (it cannot see two primaries)">{side.health || "none"}</Fact>
            <Fact term="Read">
              <Age at={side.read_at} stale_after_s={30} />
            </Fact>
          </DescriptionList>
        ) : (
          "This pool was never read here."
        )}
      </CardBody>
    </Card>
  );
}

function MostExposed({ pool }: { pool: PoolDetail }) {
  return (
    <Card>
      <CardTitle component="h2">Most exposed images</CardTitle>
      <CardBody>
        {pool.worst_images.length === 0 ? (
          <Empty title="There is no image in this pool" />
        ) : (
          <Table aria-label="Most exposed images" variant="compact">
            <Thead>
              <Tr>
                <Th>Image</Th>
                <Th>Verdict</Th>
                <Th>Would be lost now</Th>
              </Tr>
            </Thead>
            <Tbody>
              {pool.worst_images.map((image) => (
                <Tr key={image.id}>
                  <Td dataLabel="Image">
                    <Link to={`/images/${image.id}`}>{image.name}</Link>
                  </Td>
                  <Td dataLabel="Verdict">
                    <VerdictText code={image.verdict} title={image.verdict_sentence} />
                  </Td>
                  <Td dataLabel="Would be lost now">
                    <StateText state={exposureWord(image.exposure)} title={image.exposure.sentence} />
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        )}
      </CardBody>
    </Card>
  );
}
