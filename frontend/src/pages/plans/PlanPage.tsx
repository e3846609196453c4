import { Button, Card, CardBody, CardTitle, DescriptionList, Flex, PageSection, Spinner } from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { planDelete } from "../../api/commands";
import { planQuery, readinessQuery } from "../../api/queries";
import type { Plan } from "../../api/types";
import { AccessHere } from "../../components/AccessHere";
import { ActButton } from "../../components/ActButton";
import { type BigColumn, WholeTable } from "../../components/BigTable";
import { ExposureCard } from "../../components/ExposureCard";
import { Findings } from "../../components/Findings";
import { LinkButton } from "../../components/LinkButton";
import { Empty, ProblemAlert } from "../../components/Loaded";
import { LoadedPage } from "../../components/LoadedPage";
import { PageHead } from "../../components/PageHead";
import { ReadinessChecks } from "../../components/ReadinessChecks";
import { ReasonDialog } from "../../components/ReasonDialog";
import { RunTable } from "../../components/RunTable";
import { ReadinessLabel, VerdictText } from "../../components/State";
import { Age } from "../../components/Time";
import { useMay } from "../../lib/may";
import { useSiteName } from "../../lib/siteName";
import { tallyWords } from "../../lib/tally";
import { count, kindWord } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { Fact } from "../runs/RunFacts";
import { Disks } from "./Disks";
import { Doors } from "./Doors";
import { RtoCard } from "./RtoCard";
import { StandingCard } from "./StandingCard";

export function PlanPage() {
  const id = Number(useParams().id);
  const query = useQuery({ ...planQuery(id), refetchInterval: useLive([`plan:${id}`, "runs"]) });
  return (
    <LoadedPage query={query} what={`Plan ${id}`} crumbs={[{ to: "/plans", text: "Plans" }]}>
      {(plan) => <ThePlan plan={plan} />}
    </LoadedPage>
  );
}

function ThePlan({ plan }: { plan: Plan }) {
  const name = useSiteName();
  const { whyNot } = useMay("plan", { plan: plan.id });
  const [removing, setRemoving] = useState(false);
  const busy = plan.active_run_id === null ? "" : `Run ${plan.active_run_id} is under way.`;
  return (
    <>
      <PageHead
        title={plan.name}
        crumbs={[{ to: "/plans", text: "Plans" }]}
        labels={<VerdictText code={plan.worst_verdict} title="The worst verdict of its images" />}
        actions={
          <>
            <Doors plan={plan} />
            <LinkButton to={`/plans/${plan.id}/edit`} variant="secondary" whyNot={whyNot || busy}>
              Change
            </LinkButton>
            <ActButton
              variant="secondary"
              isDanger
              whyNot={whyNot || busy || (plan.runs.length > 0 ? "A plan with runs stays, as their record." : "")}
              onClick={() => setRemoving(true)}
            >
              Remove
            </ActButton>
          </>
        }
      >
        {count(plan.vm_count, "VM")} with {count(plan.image_count, "image")}, at home at {name(plan.home_site)}, active
        at {name(plan.active_site)}.
      </PageHead>
      <PageSection className="dr-stack">
        <StandingCard planId={plan.id} />
        <ReadinessCard plan={plan} />
        <ExposureCard of={{ what: "group", id: plan.group.id }} targetOf={{ group: plan.group.id, plan: plan.id }} />
        <RtoCard plan={plan} />
        <AccessHere of={{ plan: plan.id }} head="Who may do what with this plan" />
        <MembersCard plan={plan} />
        <NetworksCard plan={plan} />
        <Card>
          <CardTitle component="h2">Runs</CardTitle>
          <CardBody>
            {plan.runs.length === 0 ? (
              <Empty title="It has never been run" />
            ) : (
              <RunTable runs={plan.runs} label="Runs" />
            )}
          </CardBody>
        </Card>
      </PageSection>
      {removing && <RemovePlan plan={plan} onClose={() => setRemoving(false)} />}
    </>
  );
}

/** Readiness asks the sites, so it is read when somebody asks for it. */
function ReadinessCard({ plan }: { plan: Plan }) {
  const returned = plan.next_kinds.some((next) => next.kind === "reprotect" && next.possible);
  const kind = returned ? "reprotect" : plan.active_site === plan.home_site ? "planned_failover" : "failback";
  const query = useQuery({ ...readinessQuery(plan.id, kind), enabled: false });
  return (
    <Card>
      <CardTitle component="h2">Readiness for {kindWord(kind).toLowerCase()}</CardTitle>
      <CardBody className="dr-stack">
        <Flex>
          <Button variant="secondary" isDisabled={query.isFetching} onClick={() => void query.refetch()}>
            Ask both sites now
          </Button>
          {query.isFetching && (
            <span role="status">
              <Spinner size="md" aria-label="Asking" /> Asking both sites. This takes up to 20 s.
            </span>
          )}
          {query.data && !query.isFetching && (
            <>
              <ReadinessLabel code={query.data.state} />
              <strong>{tallyWords(query.data.counts)}</strong>
              <span>
                asked <Age at={query.data.checked_at} stale_after_s={60} />
              </span>
            </>
          )}
        </Flex>
        <ProblemAlert error={query.error} title="Readiness could not be read" />
        {query.data && !query.isFetching && (
          <>
            {query.data.findings.length > 0 && <Findings findings={query.data.findings} label="Findings" />}
            <ReadinessChecks readiness={query.data} />
          </>
        )}
      </CardBody>
    </Card>
  );
}

function MembersCard({ plan }: { plan: Plan }) {
  const home = useSiteName()(plan.home_site);
  const members = useMemo(
    () => [...plan.members].sort((a, b) => a.priority - b.priority || a.vm.name.localeCompare(b.vm.name)),
    [plan.members],
  );
  const columns = useMemo<BigColumn<Plan["members"][number]>[]>(
    () => [
      { title: "VM", rem: 12, cell: ({ vm }) => <Link to={`/vms/${vm.id}`}>{vm.name}</Link> },
      { title: "Priority", rem: 4.5, cell: ({ priority }) => priority },
      { title: `State at ${home}`, rem: 9, cell: ({ vm }) => (vm.gone_at ? "gone" : vm.state_word) },
      { title: "Disks", rem: 19, cell: ({ vm }) => <Disks vm={vm} /> },
      { title: "In the way", rem: 17.5, cell: ({ vm }) => vm.why_not.join(" ") },
    ],
    [home],
  );
  return (
    <Card>
      <CardTitle component="h2">VMs, in the order they start</CardTitle>
      <CardBody>
        <WholeTable label="VMs of the plan" noun="VM" rows={members} columns={columns} rowPx={40} grows />
      </CardBody>
    </Card>
  );
}

function NetworksCard({ plan }: { plan: Plan }) {
  const site = useSiteName();
  const name = (networks: Plan["networks_home"], id: number) =>
    networks.find((network) => network.one_id === id)?.name ?? `network ${id}`;
  const mapped = Object.entries(plan.network_map);
  return (
    <Card>
      <CardTitle component="h2">Networks at the other site</CardTitle>
      <CardBody>
        {mapped.length === 0 ? (
          "No network is mapped: the VMs start at the other site without network cards."
        ) : (
          <DescriptionList isCompact isHorizontal>
            {mapped.map(([from, to]) => (
              <Fact key={from} term={`${name(plan.networks_home, Number(from))} (${site(plan.home_site)})`}>
                {name(plan.networks_peer, to)} ({site(plan.peer_site)})
              </Fact>
            ))}
          </DescriptionList>
        )}
      </CardBody>
    </Card>
  );
}

function RemovePlan({ plan, onClose }: { plan: Plan; onClose: () => void }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: () => planDelete(plan.id, plan.version),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["plan"], exact: true });
      void navigate("/plans");
    },
  });
  return (
    <ReasonDialog
      title={`Remove the plan ${plan.name}?`}
      consequences={[
        `The group ${plan.group.name} is dissolved with it; its ${count(plan.vm_count, "VM")} can no longer be moved by the portal.`,
        "At the sites nothing changes.",
      ]}
      button={`Remove ${plan.name}`}
      danger
      withReason={false}
      busy={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    />
  );
}
