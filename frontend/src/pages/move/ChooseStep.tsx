import { Content, Radio, Title } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { plansQuery } from "../../api/queries";
import type { PlanSummary } from "../../api/types";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { VerdictText } from "../../components/State";
import { useSiteName } from "../../lib/siteName";
import { count, kindWord } from "../../lib/words";
import { useLive } from "../../live/hooks";
import type { MoveKind } from "./MovePage";

/** Which group is moved: those that can go first, the others with the reason why not. */
export function ChooseStep({
  kind,
  chosen,
  onChoose,
}: {
  kind: MoveKind;
  chosen: number | null;
  onChoose: (planId: number) => void;
}) {
  const query = useQuery({ ...plansQuery, refetchInterval: useLive(["runs"]) });
  return (
    <Loaded query={query} what="The plans">
      {({ items }) =>
        items.length === 0 ? (
          <Empty title="There is no plan yet" action={<LinkButton to="/plans/new">Make a plan</LinkButton>}>
            A plan names the VMs that move together and the networks they get at the other site.
          </Empty>
        ) : (
          <div className="dr-stack">
            <Title headingLevel="h2">
              {kind === "reprotect" || kind === "fence" ? "Which group?" : "Which group moves?"}
            </Title>
            {[...items]
              .sort((a, b) => Number(able(b, kind)) - Number(able(a, kind)))
              .map((plan) => (
                <Choice key={plan.id} plan={plan} kind={kind} isChosen={plan.id === chosen} onChoose={onChoose} />
              ))}
          </div>
        )
      }
    </Loaded>
  );
}

const found = (plan: PlanSummary, kind: MoveKind) => plan.next_kinds.find((next) => next.kind === kind);
const able = (plan: PlanSummary, kind: MoveKind) => found(plan, kind)?.possible === true;

function Choice({
  plan,
  kind,
  isChosen,
  onChoose,
}: {
  plan: PlanSummary;
  kind: MoveKind;
  isChosen: boolean;
  onChoose: (planId: number) => void;
}) {
  const name = useSiteName();
  const at = name(plan.active_site);
  const to = name(plan.active_site === plan.home_site ? plan.peer_site : plan.home_site);
  const possible = able(plan, kind);
  const why = found(plan, kind)?.why_not ?? `${kindWord(kind)} is not possible now.`;
  return (
    <Radio
      id={`plan-${plan.id}`}
      name="plan"
      isChecked={isChosen}
      isDisabled={!possible}
      onChange={() => onChoose(plan.id)}
      label={
        <>
          <strong>{plan.group.name}</strong> by plan {plan.name}: {count(plan.vm_count, "VM")},{" "}
          {count(plan.image_count, "image")},{" "}
          {kind === "fence"
            ? `fenced at ${to}, active at ${at}`
            : kind === "reprotect"
              ? `copied to ${to} again from ${at}`
              : `from ${at} to ${to}`}
        </>
      }
      description={
        possible ? (
          <>
            Worst image: <VerdictText code={plan.worst_verdict} />
          </>
        ) : undefined
      }
      body={
        possible ? undefined : (
          <Content component="small">
            Not now: {why}{" "}
            {plan.active_run_id !== null && <Link to={`/runs/${plan.active_run_id}`}>Run {plan.active_run_id}</Link>}
          </Content>
        )
      }
    />
  );
}
