import { Button, PageSection, Title } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";
import { checksQuery, planQuery, standingQuery } from "../../api/queries";
import type { Plan, PlanReadiness } from "../../api/types";
import { Findings } from "../../components/Findings";
import { Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { TimeTwice } from "../../components/Time";
import { useSiteName } from "../../lib/siteName";
import { count } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { Changed, CheckTable, Duration, StandingHead } from "./StandingCard";

/** The readiness of a plan on paper: how it stands, what was found, how it stood before. */
export function ReadinessReportPage() {
  const id = Number(useParams().id);
  const plan = useQuery(planQuery(id));
  const standing = useQuery({ ...standingQuery(id), refetchInterval: useLive([`plan:${id}`]) });
  return (
    <Loaded query={plan} what={`Plan ${id}`}>
      {(rows) => (
        <Loaded query={standing} what="The readiness">
          {(found) => <Report plan={rows} found={found} />}
        </Loaded>
      )}
    </Loaded>
  );
}

function Report({ plan, found }: { plan: Plan; found: PlanReadiness }) {
  const checks = useQuery(checksQuery(plan.id));
  const name = useSiteName();
  return (
    <>
      <PageHead
        title={`Readiness of ${plan.name}`}
        crumbs={[{ to: `/plans/${plan.id}`, text: plan.name }]}
        actions={
          <Button variant="secondary" onClick={() => window.print()}>
            Print
          </Button>
        }
      >
        {count(plan.vm_count, "VM")} with {count(plan.image_count, "image")}, at home at {name(plan.home_site)}, active
        at {name(plan.active_site)}. Version {plan.version} of the plan.
      </PageHead>
      <PageSection className="dr-stack">
        <p>
          As of <TimeTwice at={found.now} />
        </p>
        <div className="dr-facts">
          <StandingHead plan={found} />
        </div>
        <Changed plan={found} />
        <Title headingLevel="h2">Found at the last check</Title>
        {found.findings.length > 0 ? <Findings findings={found.findings} label="Findings" /> : <p>Nothing.</p>}
        <Title headingLevel="h2">How long it takes</Title>
        <Duration plan={found} />
        <Title headingLevel="h2">How it stood before</Title>
        <Loaded query={checks} what="The history">
          {({ items }) => <CheckTable checks={items} />}
        </Loaded>
      </PageSection>
    </>
  );
}
