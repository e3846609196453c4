import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { Link } from "react-router";
import type { RunSummary } from "../api/types";
import { useSitesNamed } from "../lib/siteName";
import { progressOf } from "../lib/tally";
import { kindWord, wayWords } from "../lib/words";
import { RunStateLabel } from "./State";
import { Age, Elapsed } from "./Time";

export function RunTable({ runs, label }: { runs: RunSummary[]; label: string }) {
  return (
    <Table aria-label={label} variant="compact">
      <Thead>
        <Tr>
          <Th>Run</Th>
          <Th>State</Th>
          <Th>Plan</Th>
          <Th>From → to</Th>
          <Th>Steps</Th>
          <Th>Took</Th>
          <Th>Asked for</Th>
          <Th>Last word</Th>
        </Tr>
      </Thead>
      <Tbody>
        {runs.map((run) => (
          <RunRow key={run.id} run={run} />
        ))}
      </Tbody>
    </Table>
  );
}

function RunRow({ run: given }: { run: RunSummary }) {
  const run = useSitesNamed(given);
  const progress = progressOf(run.counts);
  return (
    <Tr>
      <Td dataLabel="Run">
        <Link to={`/runs/${run.id}`}>
          {run.id}: {kindWord(run.kind)}
        </Link>
      </Td>
      <Td dataLabel="State">
        <RunStateLabel code={run.state} />
      </Td>
      <Td dataLabel="Plan">
        <Link to={`/plans/${run.plan.id}`}>{run.plan.name}</Link>
      </Td>
      <Td dataLabel="From → to">{wayWords(run)}</Td>
      <Td dataLabel="Steps">
        {progress.done} of {progress.total}
      </Td>
      <Td dataLabel="Took">
        <Elapsed start={run.started_at} end={run.finished_at} />
      </Td>
      <Td dataLabel="Asked for">
        <Age at={run.created_at} /> by {run.requested_by}
      </Td>
      <Td dataLabel="Last word">{run.sentence}</Td>
    </Tr>
  );
}
