import { Alert, Drawer, DrawerContent, DrawerContentBody, PageSection, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { useCallback } from "react";
import { useParams, useSearchParams } from "react-router";
import { runQuery } from "../../api/queries";
import type { Run } from "../../api/types";
import { Fold } from "../../components/Fold";
import { LinkButton } from "../../components/LinkButton";
import { LoadedPage } from "../../components/LoadedPage";
import { PageHead } from "../../components/PageHead";
import { RunStateLabel } from "../../components/State";
import { Age } from "../../components/Time";
import { useSiteName, useSitesNamed } from "../../lib/siteName";
import { count, FINAL_RUN_STATES, kindWord, runStateWord, wayWords } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { Checklist } from "./Checklist";
import { ExactLoss } from "./ExactLoss";
import { Fences } from "./Fences";
import { Recopies } from "./Recopies";
import { RunActions } from "./RunActions";
import { RunConsole } from "./RunConsole";
import { RunFacts } from "./RunFacts";
import { RunReport } from "./RunReport";
import { Salvaged } from "./Salvaged";
import { StepDrawer } from "./StepDrawer";

export function RunPage() {
  const id = Number(useParams().id);
  const poll = useLive([`run:${id}`], "run");
  const query = useQuery({ ...runQuery(id), refetchInterval: poll });
  return (
    <LoadedPage query={query} what={`Run ${id}`} crumbs={[{ to: "/runs", text: "Runs" }]}>
      {(run) => <TheRun run={run} />}
    </LoadedPage>
  );
}

/** The open step is in the address, so that a reload or a link shows the same. */
function TheRun({ run: given }: { run: Run }) {
  const run = useSitesNamed(given);
  const [params, setParams] = useSearchParams();
  const step = Number(params.get("step"));
  const gate = params.get("gate");
  const open = useCallback(
    (stepId: number, gateId: string | null) =>
      setParams(gateId ? { step: String(stepId), gate: gateId } : { step: String(stepId) }, { replace: true }),
    [setParams],
  );
  // After a run that did not get through, where everything stands is what people need first.
  const first = run.state !== "succeeded";
  const close = () => {
    setParams({}, { replace: true });
    // Back to the cell the reader came from.
    document.querySelector<HTMLElement>(`[data-cell="${step} ${gate ?? ""}"]`)?.focus();
  };
  return (
    <Drawer isExpanded={step > 0} position="end">
      <DrawerContent
        panelContent={step > 0 ? <StepDrawer key={step} run={run} stepId={step} gate={gate} onClose={close} /> : null}
      >
        <DrawerContentBody>
          <PageHead
            title={`Run ${run.id}: ${kindWord(run.kind)} of ${run.plan.name}`}
            crumbs={[{ to: "/runs", text: "Runs" }]}
            labels={<RunStateLabel code={run.state} />}
            actions={
              <>
                {run.approval_id !== null && (
                  <LinkButton to={`/approvals/${run.approval_id}`} variant="secondary">
                    Approval and evidence
                  </LinkButton>
                )}
                <RunActions run={run} />
              </>
            }
          >
            {wayWords(run)}
          </PageHead>
          <PageSection className="dr-stack">
            <NextAction run={run} />
            <RunFacts run={run} />
          </PageSection>
          {run.console && <RunConsole run={run} console={run.console} />}
          {first && <Standing run={run} />}
          <PageSection className="dr-stack">
            <Title headingLevel="h2">Checklist</Title>
            <Checklist run={run} onOpen={open} />
          </PageSection>
          <Salvaged run={run} />
          <Recopies run={run} />
          <Fences run={run} />
          <ExactLoss run={run} />
          {!first && <Standing run={run} />}
          {FINAL_RUN_STATES.has(run.state) && <RunReport runId={run.id} />}
        </DrawerContentBody>
      </DrawerContent>
    </Drawer>
  );
}

const VARIANTS = {
  good: "success",
  bad: "danger",
  warn: "warning",
  unsure: "warning",
  busy: "info",
  idle: "info",
} as const;

/** The one next action, who may do it, and why it waits: in the portal's words. */
function NextAction({ run }: { run: Run }) {
  const active = !FINAL_RUN_STATES.has(run.state);
  return (
    <>
      <Alert
        variant={VARIANTS[runStateWord(run.state).tone]}
        isInline
        title={run.next || run.sentence}
        component="h2"
        isLiveRegion
      >
        {run.next && run.sentence !== run.next ? run.sentence : null}
      </Alert>
      {active && run.state !== "paused" && !run.executor_alive && run.started_at && (
        <Alert variant="warning" isInline title="No executor holds this run at the moment">
          Nothing is lost: every step is recorded. The sweep hands the run to another worker within half a minute; if it
          does not, look whether a worker runs.
        </Alert>
      )}
    </>
  );
}

/** Any other word is a site. */
const PLACES: Record<string, string> = {
  nowhere: "neither site",
  both: "both sites",
  unknown: "cannot tell",
};

/** Above this many lines they are folded, so that the checklist stays in sight. */
const FOLD_FROM = 12;

function Standing({ run }: { run: Run }) {
  const name = useSiteName();
  // While it moves, what was read when it last stood still is not so any more.
  const atRest = run.state === "paused" || FINAL_RUN_STATES.has(run.state);
  if (run.standing.length === 0 || !atRest) return null;
  return (
    <PageSection className="dr-stack">
      <Title headingLevel="h2">Where everything stands</Title>
      <Fold
        head={`${count(run.standing.length, "image or VM", "images and VMs")}`}
        open={run.standing.length <= FOLD_FROM}
      >
        <Table aria-label="Where everything stands" variant="compact">
          <Thead>
            <Tr>
              <Th>Image or VM</Th>
              <Th>Primary or running at</Th>
              <Th>What was read</Th>
              <Th>Read</Th>
            </Tr>
          </Thead>
          <Tbody>
            {run.standing.map((each) => (
              <Tr key={`${each.kind} ${each.name}`}>
                <Td dataLabel="Image or VM">{each.name}</Td>
                <Td dataLabel="Primary or running at">{PLACES[each.where] ?? name(each.where)}</Td>
                <Td dataLabel="What was read">{each.sentence}</Td>
                <Td dataLabel="Read">
                  <Age at={each.read_at} />
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      </Fold>
    </PageSection>
  );
}
