import { PageSection } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { plansQuery, standingsQuery } from "../../api/queries";
import type { PlanStanding, PlanSummary } from "../../api/types";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { StateText, VerdictText } from "../../components/State";
import { useMay } from "../../lib/may";
import { useSiteName } from "../../lib/siteName";
import { standingWord } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { Doors } from "./Doors";

export function PlansPage() {
  const query = useQuery({ ...plansQuery, refetchInterval: useLive(["runs", "overview"]) });
  const { whyNot } = useMay("plan", "somePair");
  const add = (
    <LinkButton to="/plans/new" whyNot={whyNot}>
      Make a plan
    </LinkButton>
  );
  return (
    <>
      <PageHead title="Plans" actions={add}>
        A plan names the VMs that move together, the order they start in, and their networks at the other site. It works
        in both directions.
      </PageHead>
      <PageSection>
        <Loaded query={query} what="The plans">
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="There is no plan yet" action={add}>
                VMs are chosen from those that discovery found at the sites.
              </Empty>
            ) : (
              <PlanTable plans={items} />
            )
          }
        </Loaded>
      </PageSection>
    </>
  );
}

function PlanTable({ plans }: { plans: PlanSummary[] }) {
  const name = useSiteName();
  const standings = useQuery({ ...standingsQuery, refetchInterval: useLive([]) });
  return (
    <Table aria-label="Plans" variant="compact">
      <Thead>
        <Tr>
          <Th>Plan</Th>
          <Th>Group</Th>
          <Th>Home</Th>
          <Th>Active at</Th>
          <Th>VMs</Th>
          <Th>Images</Th>
          <Th>Worst image</Th>
          <Th>Readiness</Th>
          <Th>Possible now</Th>
        </Tr>
      </Thead>
      <Tbody>
        {plans.map((plan) => (
          <Tr key={plan.id}>
            <Td dataLabel="Plan">
              <Link to={`/plans/${plan.id}`}>{plan.name}</Link>
            </Td>
            <Td dataLabel="Group">{plan.group.name}</Td>
            <Td dataLabel="Home">{name(plan.home_site)}</Td>
            <Td dataLabel="Active at">
              {name(plan.active_site)}
              {plan.active_site !== plan.home_site && " (away from home)"}
            </Td>
            <Td dataLabel="VMs">{plan.vm_count}</Td>
            <Td dataLabel="Images">{plan.image_count}</Td>
            <Td dataLabel="Worst image">
              <VerdictText code={plan.worst_verdict} />
            </Td>
            <Td dataLabel="Readiness">
              <StandingOf standing={standings.data?.items.find((one) => one.plan_id === plan.id)} />
            </Td>
            <Td dataLabel="Possible now">
              <Doors plan={plan} small />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function StandingOf({ standing }: { standing: PlanStanding | undefined }) {
  if (!standing) return <>not read</>;
  return (
    <Link to={`/plans/${standing.plan_id}/readiness`} title={standing.sentence}>
      <StateText state={standingWord(standing.standing)} />
    </Link>
  );
}
