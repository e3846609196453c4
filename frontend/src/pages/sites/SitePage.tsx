import { Card, CardBody, CardTitle, DescriptionList, List, ListItem, PageSection } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate, useParams } from "react-router";
import { siteDelete } from "../../api/commands";
import { siteQuery } from "../../api/queries";
import type { Site } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ChangesCard } from "../../components/ChangesCard";
import { LinkButton } from "../../components/LinkButton";
import { LoadedPage } from "../../components/LoadedPage";
import { PageHead } from "../../components/PageHead";
import { ReasonDialog } from "../../components/ReasonDialog";
import { StateText, YesNo } from "../../components/State";
import { Age } from "../../components/Time";
import { useMayAtSite } from "../../lib/may";
import { useLive } from "../../live/hooks";
import { ReachRow } from "../overview/OverviewPage";
import { Fact } from "../runs/RunFacts";
import { ConnectionTestCard } from "./ConnectionTestCard";
import { CredentialsCard } from "./CredentialsCard";
import { GroundCard } from "./GroundCard";
import { ProgramCard } from "./ProgramCard";
import { RefusalsCard } from "./RefusalsCard";
import { SightsCard } from "./SightsCard";
import { THROUGH } from "./through";

export function SitePage() {
  const slug = useParams().slug ?? "";
  const query = useQuery({ ...siteQuery(slug), refetchInterval: useLive(["sites"], "sites") });
  return (
    <LoadedPage query={query} what={`Site ${slug}`} crumbs={[{ to: "/sites", text: "Sites" }]}>
      {(site) => <TheSite site={site} />}
    </LoadedPage>
  );
}

function TheSite({ site }: { site: Site }) {
  const { whyNot } = useMayAtSite("sites", site.slug);
  const [removing, setRemoving] = useState(false);
  return (
    <>
      <PageHead
        title={site.name}
        crumbs={[{ to: "/sites", text: "Sites" }]}
        labels={
          <YesNo
            value={site.reachable}
            yes={{ word: "Reachable", tone: "good" }}
            no={{ word: "Not reachable", tone: "bad" }}
          />
        }
        actions={
          <>
            <LinkButton to={`/sites/${site.slug}/edit`} variant="secondary" whyNot={whyNot}>
              Change
            </LinkButton>
            <ActButton variant="secondary" isDanger whyNot={whyNot} onClick={() => setRemoving(true)}>
              Remove
            </ActButton>
          </>
        }
      />
      <PageSection className="dr-stack">
        <ReachCard site={site} />
        <SightsCard site={site} />
        <FactsCard site={site} />
        {site.program && <ProgramCard program={site.program} />}
        <RefusalsCard slug={site.slug} />
        <ConnectionTestCard site={site} />
        <HostKeysCard site={site} />
        <CredentialsCard site={site} />
        <PoolsCard site={site} />
        <GroundCard slug={site.slug} />
        <ChangesCard of={{ site: site.slug }} what="this site" />
      </PageSection>
      {removing && <RemoveSite site={site} onClose={() => setRemoving(false)} />}
    </>
  );
}

function ReachCard({ site }: { site: Site }) {
  return (
    <Card>
      <CardTitle component="h2">Reach</CardTitle>
      <CardBody>
        <Table aria-label="Reach" variant="compact" borders={false}>
          <Tbody>
            <ReachRow word="SSH" reach={site.ssh} />
            <ReachRow word="Ceph" reach={site.ceph} />
            <ReachRow word="OpenNebula" reach={site.opennebula} />
          </Tbody>
        </Table>
        Last heard <Age at={site.last_heard} stale_after_s={30} />
      </CardBody>
    </Card>
  );
}

function FactsCard({ site }: { site: Site }) {
  return (
    <Card>
      <CardTitle component="h2">Where it is</CardTitle>
      <CardBody>
        <DescriptionList isCompact columnModifier={{ default: "2Col" }}>
          <Fact term="SSH">
            {site.ssh_user}@{site.ssh_host}:{site.ssh_port}
          </Fact>
          <Fact term="Ceph">
            {site.ceph_version || "version not read"}, user {site.ceph_user || "of the host's own configuration"}
            <Supported support={site.ceph_support} />
          </Fact>
          <Fact term="Ceph is reached through">
            {THROUGH[site.ceph_through as keyof typeof THROUGH] ?? site.ceph_through}
          </Fact>
          <Fact term="What a reprotect would discard">
            {site.salvage_dir
              ? `is saved to ${site.salvage_dir} first`
              : "is not saved to a file: no directory is named"}
          </Fact>
          <Fact term="OpenNebula">
            {site.opennebula_url} {site.opennebula_version}
            <Supported support={site.opennebula_support} />
          </Fact>
          <Fact term="OpenNebula user">{site.opennebula_user}</Fact>
          <Fact term="Its clock">
            {site.clock_skew_s === null ? "not compared yet" : `${site.clock_skew_s.toFixed(1)} s from the portal's`}
          </Fact>
          <Fact term="Known to the API as">
            <span className="dr-mono">{site.slug}</span>
          </Fact>
        </DescriptionList>
      </CardBody>
    </Card>
  );
}

function Supported({ support }: { support: Site["ceph_support"] }) {
  const tone = support.ok === null ? "unsure" : support.ok ? "good" : "bad";
  return (
    <p>
      <StateText state={{ word: support.sentence, tone }} />
    </p>
  );
}

function HostKeysCard({ site }: { site: Site }) {
  return (
    <Card>
      <CardTitle component="h2">Accepted host keys</CardTitle>
      <CardBody>
        {site.host_keys.length === 0 ? (
          "None: nothing is sent over SSH before a key has been accepted. Test the connection to see what the host shows."
        ) : (
          <List isPlain>
            {site.host_keys.map((key) => (
              <ListItem key={key.line}>
                {key.type} <span className="dr-mono">{key.fingerprint}</span>
              </ListItem>
            ))}
          </List>
        )}
      </CardBody>
    </Card>
  );
}

function PoolsCard({ site }: { site: Site }) {
  return (
    <Card>
      <CardTitle component="h2">Mirrored pools</CardTitle>
      <CardBody>
        {site.pools.length === 0 ? (
          "No pool has been read yet."
        ) : (
          <Table aria-label="Mirrored pools" variant="compact">
            <Thead>
              <Tr>
                <Th>Pool</Th>
                <Th>Mode</Th>
                <Th>Ceph says</Th>
                <Th>Daemons</Th>
                <Th>Peers</Th>
                <Th>Read</Th>
              </Tr>
            </Thead>
            <Tbody>
              {site.pools.map((pool) => (
                <Tr key={pool.name}>
                  <Td dataLabel="Pool">{pool.name}</Td>
                  <Td dataLabel="Mode">
                    {pool.gone_at ? <StateText state={{ word: "gone", tone: "bad" }} /> : pool.mode}
                  </Td>
                  <Td dataLabel="Ceph says">{pool.health}</Td>
                  <Td dataLabel="Daemons">
                    {pool.daemons.length}, {pool.daemon_health}
                  </Td>
                  <Td dataLabel="Peers">{pool.peers.length}</Td>
                  <Td dataLabel="Read">
                    <Age at={pool.read_at} stale_after_s={60} />
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        )}
        <p className="dr-quiet">Ceph's own health does not see two primaries; the verdict of each image does.</p>
      </CardBody>
    </Card>
  );
}

function RemoveSite({ site, onClose }: { site: Site; onClose: () => void }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: () => siteDelete(site.slug, site.version),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["sites"] });
      void navigate("/sites");
    },
  });
  return (
    <ReasonDialog
      title={`Remove ${site.name} from the portal?`}
      consequences={[
        "The portal forgets its addresses, host keys and credentials. At the site nothing changes.",
        "A site that belongs to a pair is not removed.",
      ]}
      button={`Remove ${site.name}`}
      danger
      withReason={false}
      busy={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    />
  );
}
