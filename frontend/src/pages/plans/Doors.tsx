import { Link } from "react-router";
import type { PlanSummary } from "../../api/types";
import { LinkButton } from "../../components/LinkButton";
import { useMay } from "../../lib/may";
import { kindWord } from "../../lib/words";

const DOORS: Record<string, string> = {
  planned_failover: "/planned-failover",
  failback: "/failback",
  fence: "/fence",
  reprotect: "/reprotect",
};

/** The ways a plan can go now; each has its own page, and opening it does nothing yet. */
export function Doors({ plan, small = false }: { plan: PlanSummary; small?: boolean }) {
  const { whyNot } = useMay("run", { plan: plan.id });
  if (plan.active_run_id !== null) {
    return <Link to={`/runs/${plan.active_run_id}`}>Run {plan.active_run_id} is under way</Link>;
  }
  return (
    <>
      {plan.next_kinds
        .filter((next) => next.kind in DOORS && (!small || next.possible))
        .map((next) => (
          <LinkButton
            key={next.kind}
            to={`${DOORS[next.kind]}?plan=${plan.id}`}
            variant={next.possible ? "primary" : "secondary"}
            size={small ? "sm" : "default"}
            whyNot={next.possible ? whyNot : (next.why_not ?? "Not now.")}
          >
            {kindWord(next.kind)}…
          </LinkButton>
        ))}
      {plan.worst_verdict === "replica_only" && (
        <LinkButton
          to={`/disaster-failover?plan=${plan.id}`}
          variant="danger"
          size={small ? "sm" : "default"}
          whyNot={whyNot}
        >
          {kindWord("disaster_failover")}…
        </LinkButton>
      )}
    </>
  );
}
