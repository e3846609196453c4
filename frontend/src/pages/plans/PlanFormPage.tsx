import { PageSection, Wizard, WizardStep } from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useReducer, useState } from "react";
import { useNavigate, useParams } from "react-router";
import { planChange, planCreate } from "../../api/commands";
import { networksQuery, pairsQuery, planQuery, resourcesQuery, sitesQuery } from "../../api/queries";
import type { Pair, Plan, Site } from "../../api/types";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { useMay } from "../../lib/may";
import { HomeStep } from "./HomeStep";
import { MembersStep } from "./MembersStep";
import { NetworksStep } from "./NetworksStep";
import { draftOf, NEW_PLAN, planBody, planReducer, tooMany, whyNotSave } from "./planReducer";
import { ReviewStep, SaveFooter } from "./ReviewStep";

/** Make or change a plan. Nothing at the sites changes by it. */
export function PlanFormPage() {
  const id = Number(useParams().id);
  const editing = id > 0;
  const plan = useQuery({ ...planQuery(id), enabled: editing, refetchOnWindowFocus: false });
  const pairs = useQuery(pairsQuery);
  const sites = useQuery(sitesQuery);
  const title = editing ? "Change a plan" : "Make a plan";
  return (
    <>
      <PageHead title={title} crumbs={[{ to: "/plans", text: "Plans" }]}>
        Which VMs move together, in which order they start, and which networks they get at the other site.
      </PageHead>
      <PageSection isFilled hasBodyWrapper={false}>
        <Loaded query={pairs} what="The pairs">
          {(known) => (
            <Loaded query={sites} what="The sites">
              {(all) => {
                if (known.items.length === 0) {
                  return (
                    <Empty title="No pair of sites yet" action={<LinkButton to="/sites">To the sites</LinkButton>}>
                      A plan needs two sites that mirror each other, and discovered VMs.
                    </Empty>
                  );
                }
                if (!editing) return <PlanWizard plan={null} pairs={known.items} sites={all.items} />;
                return (
                  <Loaded query={plan} what={`Plan ${id}`}>
                    {(shown) => <PlanWizard key={shown.id} plan={shown} pairs={known.items} sites={all.items} />}
                  </Loaded>
                );
              }}
            </Loaded>
          )}
        </Loaded>
      </PageSection>
    </>
  );
}

function pairOf(plan: Plan, pairs: Pair[]): number {
  const fits = pairs.find(({ a, b }) => [a, b].includes(plan.home_site) && [a, b].includes(plan.peer_site));
  return fits?.id ?? 0;
}

function PlanWizard({ plan, pairs, sites }: { plan: Plan | null; pairs: Pair[]; sites: Site[] }) {
  const [draft, dispatch] = useReducer(planReducer, plan, (given) =>
    given ? draftOf(given, pairOf(given, pairs)) : NEW_PLAN,
  );
  // The version of what was shown when the wizard was opened: a change in between is refused, not overwritten.
  const [version] = useState(plan?.version ?? 0);
  const navigate = useNavigate();
  const client = useQueryClient();
  const { whyNot: notAllowed } = useMay("plan", plan ? { plan: plan.id } : "somePair");
  const pair = pairs.find((each) => each.id === draft.pairId);
  const peer = pair ? (pair.a === draft.homeSite ? pair.b : pair.a) : "";
  const networksHome = useQuery(networksQuery(draft.homeSite));
  const networksPeer = useQuery(networksQuery(peer));
  const resources = useQuery(resourcesQuery(peer));
  const save = useMutation({
    mutationFn: () => (plan ? planChange(plan.id, version, planBody(draft)) : planCreate(planBody(draft))),
    onSuccess: async (saved) => {
      await client.invalidateQueries({ queryKey: ["plan"] });
      // Who may do something at the pair may do it with the new plan: the session says so when it is asked again.
      if (!plan) await client.invalidateQueries({ queryKey: ["session"] });
      void navigate(`/plans/${saved.id}`);
    },
  });
  const placed = draft.pairId !== null && draft.homeSite !== "";
  const members = draft.members.size;
  return (
    <Wizard
      title={plan ? `Change ${plan.name}` : "Make a plan"}
      navAriaLabel="Steps"
      isVisitRequired={!plan}
      onClose={() => void navigate(plan ? `/plans/${plan.id}` : "/plans")}
    >
      <WizardStep
        name="Name and home"
        id="home"
        footer={{ isNextDisabled: !placed || !draft.name.trim() || !draft.groupName.trim(), isBackHidden: true }}
      >
        <HomeStep draft={draft} dispatch={dispatch} pairs={pairs} sites={sites} isFixed={plan !== null} />
      </WizardStep>
      <WizardStep
        name="VMs"
        id="vms"
        isDisabled={!placed}
        footer={{ isNextDisabled: members === 0 || tooMany(members) !== "" }}
      >
        <MembersStep draft={draft} dispatch={dispatch} planGroup={plan?.group.id ?? null} />
      </WizardStep>
      <WizardStep name="Networks and datastore" id="networks" isDisabled={members === 0}>
        <NetworksStep
          home={networksHome}
          peer={networksPeer}
          resources={resources}
          peerSite={peer}
          draft={draft}
          dispatch={dispatch}
        />
      </WizardStep>
      <WizardStep
        name="Review and save"
        id="review"
        isDisabled={members === 0}
        footer={
          <SaveFooter
            button={plan ? "Save the plan" : "Make the plan"}
            whyNot={notAllowed || whyNotSave(draft)}
            busy={save.isPending}
            error={save.error}
            onSave={() => save.mutate()}
          />
        }
      >
        <ReviewStep draft={draft} networks={networksPeer.data?.items ?? []} peerSite={peer} />
      </WizardStep>
    </Wizard>
  );
}
