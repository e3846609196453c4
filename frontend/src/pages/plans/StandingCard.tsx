import { Alert, Button, Card, CardBody, CardTitle, Flex, List, ListItem } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "react-router";
import { checkRequest } from "../../api/commands";
import { checksQuery, standingQuery } from "../../api/queries";
import type { PlanReadiness, ReadinessCheck } from "../../api/types";
import { Findings } from "../../components/Findings";
import { Fold } from "../../components/Fold";
import { Empty, Loaded, ProblemAlert } from "../../components/Loaded";
import { ReadinessLabel, StateLabel } from "../../components/State";
import { Age, Time } from "../../components/Time";
import { elapsedWords } from "../../lib/time";
import { count, kindWord, standingWord } from "../../lib/words";
import { useLive } from "../../live/hooks";

/** How the plan stands by its last check, which the portal repeats by itself. */
export function StandingCard({ planId }: { planId: number }) {
  const query = useQuery({ ...standingQuery(planId), refetchInterval: useLive([]) });
  const client = useQueryClient();
  const ask = useMutation({
    mutationFn: () => checkRequest(planId),
    onSuccess: () => client.invalidateQueries({ queryKey: ["plan", planId, "standing"] }),
  });
  return (
    <Card>
      <CardTitle component="h2">Readiness, checked every quarter of an hour and at each change</CardTitle>
      <CardBody className="dr-stack">
        <Loaded query={query} what="The readiness">
          {(plan) => (
            <>
              <Flex>
                <StandingHead plan={plan} />
                <Button variant="secondary" isDisabled={plan.waiting || ask.isPending} onClick={() => ask.mutate()}>
                  {plan.waiting ? "A check is on its way" : "Check soon"}
                </Button>
                <Link to={`/plans/${planId}/readiness`}>Report to print</Link>
              </Flex>
              <ProblemAlert error={ask.error} title="No check was asked for" />
              {plan.trouble && (
                <Alert variant="warning" isInline component="h3" title="The last attempt brought nothing">
                  {plan.trouble}
                </Alert>
              )}
              <Changed plan={plan} />
              {plan.findings.length > 0 && <Findings findings={plan.findings} label="Findings of the last check" />}
              <Duration plan={plan} />
            </>
          )}
        </Loaded>
        <Fold head="How it stood before">
          <History planId={planId} />
        </Fold>
      </CardBody>
    </Card>
  );
}

export function StandingHead({ plan }: { plan: PlanReadiness }) {
  return (
    <>
      <StateLabel state={standingWord(plan.standing)} />
      <span>{plan.sentence}</span>
      <span>
        {kindWord(plan.kind)}, last checked <Age at={plan.checked_at} stale_after_s={1800} />
      </span>
    </>
  );
}

export function Changed({ plan }: { plan: PlanReadiness }) {
  if (plan.changed.length === 0) return null;
  return (
    <>
      <strong>Since the last check:</strong>
      <List>
        {plan.changed.map((sentence) => (
          <ListItem key={sentence}>{sentence}</ListItem>
        ))}
      </List>
    </>
  );
}

export function Duration({ plan }: { plan: PlanReadiness }) {
  const { n, needed, p50_s, p90_s, newest_at } = plan.prediction;
  if (p50_s === null || p90_s === null) {
    return (
      <p>
        How long it will take is not predicted: {count(n, "completed run")} of the {needed} that it takes.
      </p>
    );
  }
  return (
    <p>
      Such a run took {elapsedWords(p50_s)} in half of {n} completed runs, and at most {elapsedWords(p90_s)} in nine of
      ten; the newest ended <Time at={newest_at} />.
    </p>
  );
}

function History({ planId }: { planId: number }) {
  const query = useQuery(checksQuery(planId));
  return (
    <Loaded query={query} what="The history">
      {({ items }) => (items.length === 0 ? <Empty title="It was never checked" /> : <CheckTable checks={items} />)}
    </Loaded>
  );
}

export function CheckTable({ checks }: { checks: ReadinessCheck[] }) {
  return (
    <Table aria-label="Checks" variant="compact">
      <Thead>
        <Tr>
          <Th>From</Th>
          <Th>To</Th>
          <Th>For</Th>
          <Th>Said</Th>
          <Th>In the way</Th>
          <Th>Because</Th>
        </Tr>
      </Thead>
      <Tbody>
        {checks.map((check) => (
          <Tr key={check.id}>
            <Td dataLabel="From">
              <Time at={check.first_at} />
            </Td>
            <Td dataLabel="To">
              <Time at={check.checked_at} /> ({count(check.times, "check")})
            </Td>
            <Td dataLabel="For">{kindWord(check.kind)}</Td>
            <Td dataLabel="Said">
              <ReadinessLabel code={check.state} />
            </Td>
            <Td dataLabel="In the way">
              {count(check.blockers, "blocker")}, {count(check.warnings, "warning")}
            </Td>
            <Td dataLabel="Because">{check.because}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
