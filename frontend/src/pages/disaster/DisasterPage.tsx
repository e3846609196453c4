import {
  Alert,
  Button,
  Form,
  FormGroup,
  List,
  ListItem,
  PageSection,
  Radio,
  TextArea,
  Title,
} from "@patternfly/react-core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import { disasterRequest } from "../../api/commands";
import { disasterQuery, plansQuery } from "../../api/queries";
import type { DisasterDoor, PlanSummary } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { Attestation, lacking, NOTHING_ATTESTED, toSend } from "../../components/Attestation";
import { ConfirmByTyping } from "../../components/ConfirmByTyping";
import { EvidenceView } from "../../components/EvidenceView";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded, ProblemAlert } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { useMay } from "../../lib/may";
import { requestKey } from "../../lib/requestKey";
import { useSiteName, useSitesNamed } from "../../lib/siteName";
import { count } from "../../lib/words";

/** What stands in the way is the same for each image mostly; the table has them all. */
const MOST_BLOCKERS = 5;

/** The disaster door: what is known of a silent site, what would be lost, and the request for a second person's yes. */
export function DisasterPage() {
  const [params, setParams] = useSearchParams();
  const plan = Number(params.get("plan"));
  const plans = useQuery(plansQuery);
  return (
    <>
      <PageHead title="Disaster failover">
        For a site that is gone. Its copies at the other site are promoted by force, after a second person's yes. While
        both sites answer, make a planned failover.
      </PageHead>
      <PageSection className="dr-stack">
        <Loaded query={plans} what="The plans">
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="There is no plan yet" action={<LinkButton to="/plans/new">Make a plan</LinkButton>}>
                Only a group with a plan can be failed over.
              </Empty>
            ) : (
              <section className="dr-stack">
                <Title headingLevel="h2">Which group?</Title>
                {items.map((each) => (
                  <Choice
                    key={each.id}
                    plan={each}
                    isChosen={each.id === plan}
                    onChoose={() => setParams({ plan: String(each.id) }, { replace: true })}
                  />
                ))}
              </section>
            )
          }
        </Loaded>
        {plan > 0 && <Door key={plan} plan={plan} />}
      </PageSection>
    </>
  );
}

function Choice({ plan, isChosen, onChoose }: { plan: PlanSummary; isChosen: boolean; onChoose: () => void }) {
  const name = useSiteName();
  return (
    <Radio
      id={`plan-${plan.id}`}
      name="plan"
      isChecked={isChosen}
      onChange={onChoose}
      label={
        <>
          <strong>{plan.group.name}</strong> by plan {plan.name}: {count(plan.vm_count, "VM")},{" "}
          {count(plan.image_count, "image")}, active at {name(plan.active_site)}
        </>
      }
      body={
        plan.active_run_id === null ? undefined : (
          <Link to={`/runs/${plan.active_run_id}`}>Run {plan.active_run_id} is under way</Link>
        )
      }
    />
  );
}

function Door({ plan }: { plan: number }) {
  const query = useQuery(disasterQuery(plan));
  return (
    <section className="dr-stack">
      <Title headingLevel="h2">What is known now</Title>
      <Button
        variant="secondary"
        isLoading={query.isFetching}
        isDisabled={query.isFetching}
        onClick={() => void query.refetch()}
      >
        Ask the sites again
      </Button>
      {query.isFetching && <p role="status">Both sites are being asked. A silent one is waited for, at most 25 s.</p>}
      <Loaded query={query} what="The evidence">
        {(door) => <Known plan={plan} given={door} />}
      </Loaded>
    </section>
  );
}

function Known({ plan, given }: { plan: number; given: DisasterDoor }) {
  const door = useSitesNamed(given);
  return (
    <>
      {door.blockers.length > 0 && (
        <Alert variant="danger" isInline component="h3" title="Not now: nothing can be forced">
          <List>
            {door.blockers.slice(0, MOST_BLOCKERS).map((sentence) => (
              <ListItem key={sentence}>{sentence}</ListItem>
            ))}
            {door.blockers.length > MOST_BLOCKERS && (
              <ListItem>And {door.blockers.length - MOST_BLOCKERS} more; see the table.</ListItem>
            )}
          </List>
        </Alert>
      )}
      {door.notes.length > 0 && (
        <Alert variant="warning" isInline component="h3" title="What it will not save, or not bring home">
          <List>
            {door.notes.slice(0, MOST_BLOCKERS).map((sentence) => (
              <ListItem key={sentence}>{sentence}</ListItem>
            ))}
            {door.notes.length > MOST_BLOCKERS && (
              <ListItem>And {door.notes.length - MOST_BLOCKERS} more; see the gaps.</ListItem>
            )}
          </List>
        </Alert>
      )}
      <EvidenceView evidence={door.evidence} lost={door.source_site} label="Evidence" />
      <Request plan={plan} door={door} />
    </>
  );
}

function Request({ plan, door }: { plan: number; door: DisasterDoor }) {
  const navigate = useNavigate();
  const { whyNot: notAllowed } = useMay("run", { plan });
  const [reason, setReason] = useState("");
  const [said, setSaid] = useState(NOTHING_ATTESTED);
  const [typed, setTyped] = useState("");
  const [key] = useState(requestKey);
  const send = useMutation({
    mutationFn: () =>
      disasterRequest(plan, {
        plan_version: door.plan_version,
        phrase: typed.trim(),
        reason: reason.trim(),
        ...toSend(said),
        request_key: key,
        evidence_sha256: door.evidence_sha256,
      }),
    onSuccess: (approval) => void navigate(`/approvals/${approval.id}`),
  });
  const whyNot =
    notAllowed ||
    (door.blockers.length > 0 ? "Something forbids it; see above." : "") ||
    (reason.trim() === "" ? "Say why." : "") ||
    lacking(said, door.fence_rung, door.source_site) ||
    (typed.trim() === door.phrase ? "" : "Type the phrase first.");
  return (
    <Form onSubmit={(event) => event.preventDefault()}>
      <Title headingLevel="h2">Ask for it</Title>
      <List>
        <ListItem>
          This only asks: another person has to say yes to the evidence above. Both sites are read once more first;
          where something has changed, nothing is asked for.
        </ListItem>
        <ListItem>
          After the yes, {count(door.evidence.images.length, "image")} at {door.target_site}{" "}
          {door.evidence.images.length === 1 ? "is" : "are"} promoted by force, each for itself, and the VMs start
          there. Nothing is done at {door.source_site}.
        </ListItem>
        <ListItem>
          What {door.source_site} wrote and did not send is missing at {door.target_site}. When {door.source_site} comes
          back, its copies can still be written: keep it cut off.
        </ListItem>
      </List>
      <FormGroup label="Why is this done?" isRequired fieldId="reason">
        <TextArea id="reason" rows={2} value={reason} onChange={(_event, text) => setReason(text)} />
      </FormGroup>
      <Attestation site={door.source_site} wanted={door.fence_rung} value={said} onChange={setSaid} />
      <ConfirmByTyping phrase={door.phrase} typed={typed} onType={setTyped} />
      <ProblemAlert error={send.error} title="Nothing was asked for" />
      {whyNot && <p className="dr-quiet">{whyNot}</p>}
      <div className="dr-actions">
        <ActButton
          variant="danger"
          whyNot={whyNot}
          isLoading={send.isPending}
          isDisabled={send.isPending}
          onClick={() => send.mutate()}
        >
          {door.button}
        </ActButton>
      </div>
    </Form>
  );
}
