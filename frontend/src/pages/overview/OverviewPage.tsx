import {
  Alert,
  Card,
  CardBody,
  CardTitle,
  Grid,
  GridItem,
  Label,
  LabelGroup,
  PageSection,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { overviewQuery, plansQuery } from "../../api/queries";
import type { Overview, Reach, SiteSummary } from "../../api/types";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { ReceiptAlarms } from "../../components/ReceiptAlarms";
import { RunTable } from "../../components/RunTable";
import { StateText, VerdictText, YesNo } from "../../components/State";
import { Age, Time } from "../../components/Time";
import { useSiteName } from "../../lib/siteName";
import { exposureWord, GAP_LEVEL_CODES, gapLevelWord, upWords, VERDICT_CODES } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { LostSites } from "./LostSites";

export function OverviewPage() {
  const query = useQuery({ ...overviewQuery, refetchInterval: useLive(["overview", "runs"], "sites") });
  return (
    <>
      <PageHead title="Overview">Who is where, what is protected, and what is running.</PageHead>
      <Loaded query={query} what="The overview">
        {(overview) => <Shown overview={overview} />}
      </Loaded>
    </>
  );
}

function Shown({ overview }: { overview: Overview }) {
  if (overview.sites.length === 0) {
    return (
      <PageSection>
        <Empty title="No site is set up yet" action={<LinkButton to="/sites/new">Set up a site</LinkButton>}>
          Set up both sites first, each an OpenNebula front end and a Ceph cluster. Join them to a pair: that finds
          their images and VMs. Then make a plan of the VMs that move together.
        </Empty>
      </PageSection>
    );
  }
  return (
    <PageSection>
      <Grid hasGutter>
        {!overview.live.worker && (
          <GridItem>
            <Alert component="h2" variant="danger" isInline title="No worker is running: nothing can be moved">
              Start one on the portal's host: manage.py worker. Runs that were under way go on by themselves then.
            </Alert>
          </GridItem>
        )}
        <LostSites overview={overview} />
        {overview.differences.length > 0 && (
          <GridItem>
            <ReceiptAlarms differences={overview.differences} />
          </GridItem>
        )}
        {overview.sites.map((site) => (
          <GridItem key={site.slug} md={6}>
            <SiteCard site={site} />
          </GridItem>
        ))}
        <GridItem>
          <ImagesCard overview={overview} />
        </GridItem>
        <GridItem md={6}>
          <ExposureNowCard overview={overview} />
        </GridItem>
        <GridItem md={6}>
          <GapsCard overview={overview} />
        </GridItem>
        <GridItem>
          <GroupsCard overview={overview} />
        </GridItem>
        <GridItem>
          <Card isFullHeight>
            <CardTitle component="h2">Newest runs</CardTitle>
            <CardBody>
              {overview.runs.length === 0 ? (
                <Empty title="Nothing has been moved yet" />
              ) : (
                <RunTable runs={overview.runs} label="Newest runs" />
              )}
            </CardBody>
          </Card>
        </GridItem>
      </Grid>
    </PageSection>
  );
}

const PARTS: { part: "ssh" | "ceph" | "opennebula"; word: string }[] = [
  { part: "ssh", word: "SSH" },
  { part: "ceph", word: "Ceph" },
  { part: "opennebula", word: "OpenNebula" },
];

function SiteCard({ site }: { site: SiteSummary }) {
  return (
    <Card isFullHeight>
      <CardTitle component="h2">
        <Link to={`/sites/${site.slug}`}>{site.name}</Link>
      </CardTitle>
      <CardBody>
        <Table aria-label={`What answers at ${site.name}`} variant="compact" borders={false}>
          <Tbody>
            {PARTS.map(({ part, word }) => (
              <ReachRow key={part} word={word} reach={site[part]} />
            ))}
          </Tbody>
        </Table>
        Last heard <Age at={site.last_heard} stale_after_s={30} />
      </CardBody>
    </Card>
  );
}

export function ReachRow({ word, reach }: { word: string; reach: Reach }) {
  return (
    <Tr>
      <Td width={20}>{word}</Td>
      <Td width={20}>
        <YesNo value={reach.ok} yes={{ word: "Answers", tone: "good" }} no={{ word: "Does not answer", tone: "bad" }} />
      </Td>
      <Td>
        {reach.since && (
          <>
            since <Time at={reach.since} />{" "}
          </>
        )}
        {reach.sentence}
      </Td>
    </Tr>
  );
}

function ImagesCard({ overview }: { overview: Overview }) {
  const counts = VERDICT_CODES.map((code) => ({ code, n: overview.counts[code] ?? 0 })).filter(({ n }) => n > 0);
  return (
    <Card isFullHeight>
      <CardTitle component="h2">Mirrored images by verdict</CardTitle>
      <CardBody>
        {counts.length === 0 ? (
          "No mirrored image is known yet. Discovery finds them."
        ) : (
          <LabelGroup numLabels={20} aria-label="Images by verdict">
            {counts.map(({ code, n }) => (
              <Label
                key={code}
                variant="outline"
                render={({ className, content }) => (
                  <Link className={className} to={`/images?verdict=${code}`}>
                    {content}
                  </Link>
                )}
                href={`/images?verdict=${code}`}
              >
                {n} <VerdictText code={code} />
              </Label>
            ))}
          </LabelGroup>
        )}
        <p>
          The poller last looked <Age at={overview.live.poller_at} stale_after_s={30} />.
        </p>
      </CardBody>
    </Card>
  );
}

function ExposureNowCard({ overview }: { overview: Overview }) {
  return (
    <Card isFullHeight>
      <CardTitle component="h2">Would be lost now, at worst</CardTitle>
      <CardBody>
        <StateText state={exposureWord(overview.exposure)} />
        <p>{overview.exposure.sentence}</p>
        <Link to="/pools">By pool, and over time</Link>
      </CardBody>
    </Card>
  );
}

function GapsCard({ overview }: { overview: Overview }) {
  const found = GAP_LEVEL_CODES.map((code) => ({ code, n: overview.gaps[code] ?? 0 })).filter(({ n }) => n > 0);
  return (
    <Card isFullHeight>
      <CardTitle component="h2">Protection gaps</CardTitle>
      <CardBody>
        {Object.keys(overview.gaps).length === 0 ? (
          <p>Gaps are found of whole pairs of sites. You see single plans, so this cannot tell.</p>
        ) : found.length === 0 ? (
          <p>None is known.</p>
        ) : (
          found.map(({ code, n }) => (
            <p key={code}>
              <Link to={`/gaps?level=${code}`}>
                {n} <StateText state={gapLevelWord(code)} />
              </Link>
            </p>
          ))
        )}
        <Link to="/gaps">All gaps, with remedies</Link>
      </CardBody>
    </Card>
  );
}

/** The group's name, which leads to its plan: there is what can be done with it. */
function GroupName({ group }: { group: Overview["groups"][number] }) {
  const plans = useQuery(plansQuery);
  const plan = plans.data?.items.find((each) => each.group.id === group.id);
  return plan ? <Link to={`/plans/${plan.id}`}>{group.name}</Link> : <>{group.name}</>;
}

function GroupsCard({ overview }: { overview: Overview }) {
  const name = useSiteName();
  return (
    <Card isFullHeight>
      <CardTitle component="h2">Protection groups</CardTitle>
      <CardBody>
        {overview.groups.length === 0 ? (
          <Empty title="No group yet" action={<LinkButton to="/plans/new">Make a plan</LinkButton>}>
            A plan names the VMs that move together.
          </Empty>
        ) : (
          <Table aria-label="Protection groups" variant="compact">
            <Thead>
              <Tr>
                <Th>Group</Th>
                <Th>Home</Th>
                <Th>Active at</Th>
                <Th>Worst image</Th>
                <Th>Would be lost now</Th>
                <Th>Run</Th>
              </Tr>
            </Thead>
            <Tbody>
              {overview.groups.map((group) => (
                <Tr key={group.id}>
                  <Td dataLabel="Group">
                    <GroupName group={group} />
                  </Td>
                  <Td dataLabel="Home">{name(group.home_site)}</Td>
                  <Td dataLabel="Active at">
                    {name(group.active_site)}
                    {group.active_site !== group.home_site && " (away from home)"}
                  </Td>
                  <Td dataLabel="Worst image">
                    <VerdictText code={group.worst_verdict} />
                  </Td>
                  <Td dataLabel="Would be lost now">
                    <StateText
                      state={exposureWord(group.exposure, group.target_s)}
                      title={
                        group.target_s === null ? "No target agreed" : `Agreed: at most ${upWords(group.target_s)}`
                      }
                    />
                  </Td>
                  <Td dataLabel="Run">
                    {group.active_run_id === null ? (
                      "none"
                    ) : (
                      <Link to={`/runs/${group.active_run_id}`}>Run {group.active_run_id}</Link>
                    )}
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
