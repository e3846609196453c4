import { PageSection, Wizard, WizardStep } from "@patternfly/react-core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useReducer } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { planQuery, previewQuery, readinessQuery } from "../../api/queries";
import { PageHead } from "../../components/PageHead";
import { useMay } from "../../lib/may";
import { kindWord } from "../../lib/words";
import { ChooseStep } from "./ChooseStep";
import { CommandsStep } from "./CommandsStep";
import { ConfirmStep, StartFooter } from "./ConfirmStep";
import { moveReducer, newMove, whyNotReady } from "./moveReducer";
import { ReadinessStep } from "./ReadinessStep";

export type MoveKind = "planned_failover" | "failback" | "fence" | "reprotect";

const SAYS: Record<MoveKind, string> = {
  planned_failover:
    "Moves a running group to the other site while both sites answer. VMs are powered off first; nothing is lost and nothing is forced.",
  failback: "Brings a group back to its home site while both sites answer. Nothing is lost and nothing is forced.",
  fence:
    "The first thing at a site that came back after a disaster failover, or where a VM runs at home while its group is away: what runs there is powered off, and its copies can't be written any more. Nothing is discarded.",
  reprotect:
    "For a site that came back after a disaster failover. What runs there is stopped; its copies are discarded and made anew from the site where the group runs.",
};

/** "Cancel" is what ends a run; here nothing has begun. */
const LEAVE = { cancelButtonText: "Leave without doing anything" };

/** The wizard behind the doors "Planned failover", "Failback", "Fence" and "Reprotect": nothing is done before its last button. */
export function MovePage({ kind }: { kind: MoveKind }) {
  const [params, setParams] = useSearchParams();
  const given = Number(params.get("plan"));
  const [state, dispatch] = useReducer(moveReducer, given > 0 ? given : null, newMove);
  const navigate = useNavigate();
  const client = useQueryClient();
  const planId = state.planId ?? 0;
  const chosen = state.planId !== null;
  const { whyNot: notAllowed } = useMay("run", chosen ? { plan: planId } : "anywhere");
  const plan = useQuery({ ...planQuery(planId), enabled: chosen });
  // A plan from an old link may not be able to go this way any more: then nobody is asked.
  const possible = chosen && plan.data?.next_kinds.some((next) => next.kind === kind && next.possible) === true;
  const readiness = useQuery({ ...readinessQuery(planId, kind), enabled: possible });
  const preview = useQuery({ ...previewQuery(planId, kind, state.salvage), enabled: possible });

  const lookAgain = () => {
    dispatch({ type: "look_again" });
    void client.invalidateQueries({ queryKey: ["plan", planId] });
    void readiness.refetch();
  };
  const unready = whyNotReady(state, readiness.isFetching ? undefined : readiness.data);
  return (
    <>
      <PageHead title={kindWord(kind)}>{SAYS[kind]}</PageHead>
      <PageSection isFilled hasBodyWrapper={false}>
        <Wizard
          title={kindWord(kind)}
          navAriaLabel={`Steps of ${kindWord(kind)}`}
          isVisitRequired
          onClose={() => void navigate(chosen ? `/plans/${planId}` : "/plans")}
        >
          <WizardStep name="Choose" id="choose" footer={{ isNextDisabled: !possible, isBackHidden: true, ...LEAVE }}>
            <ChooseStep
              kind={kind}
              chosen={state.planId}
              onChoose={(id) => {
                dispatch({ type: "choose", planId: id });
                setParams({ plan: String(id) }, { replace: true });
              }}
            />
          </WizardStep>
          <WizardStep
            name="Readiness"
            id="readiness"
            isDisabled={!possible}
            footer={{ isNextDisabled: unready !== "", nextButtonText: "Next: the commands", ...LEAVE }}
          >
            <ReadinessStep
              query={readiness}
              accepted={state.acceptWarnings}
              onAccept={(accept) => dispatch({ type: "accept", accept })}
              onAgain={lookAgain}
            />
          </WizardStep>
          <WizardStep
            name="Commands"
            id="commands"
            isDisabled={unready !== ""}
            footer={{
              isNextDisabled: !preview.data || preview.isPlaceholderData,
              nextButtonText: "Next: consequences",
              ...LEAVE,
            }}
          >
            <CommandsStep query={preview} salvage={state.salvage} dispatch={dispatch} />
          </WizardStep>
          <WizardStep
            name="Confirm and start"
            id="confirm"
            isDisabled={unready !== ""}
            footer={
              <StartFooter
                kind={kind}
                state={state}
                readiness={readiness.data}
                preview={preview.data}
                notAllowed={notAllowed}
                onLookAgain={lookAgain}
              />
            }
          >
            <ConfirmStep plan={plan} query={preview} state={state} dispatch={dispatch} />
          </WizardStep>
        </Wizard>
      </PageSection>
    </>
  );
}
