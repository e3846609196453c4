import { List, ListItem, PageSection, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { reportQuery } from "../../api/queries";
import type { Report } from "../../api/types";
import { CopyButton, Raw } from "../../components/Command";
import { Fold } from "../../components/Fold";
import { Loaded } from "../../components/Loaded";
import { OutcomeText } from "../../components/State";
import { Time } from "../../components/Time";
import { durationWords, elapsedWords } from "../../lib/time";
import { count } from "../../lib/words";

/** The record of an ended run: times, exceptions, every attempt, and where it stands in the trail. */
export function RunReport({ runId }: { runId: number }) {
  const query = useQuery(reportQuery(runId));
  return (
    <PageSection className="dr-stack">
      <Title headingLevel="h2">Report</Title>
      <Loaded query={query} what="The report">
        {(report) => <Shown report={report} />}
      </Loaded>
    </PageSection>
  );
}

function Shown({ report }: { report: Report }) {
  const text = JSON.stringify(report, null, 2);
  const [first, last] = [report.trail[0], report.trail.at(-1)];
  return (
    <div className="dr-stack">
      <p>
        {report.duration_s === null ? "It never began." : `The run took ${elapsedWords(report.duration_s)}.`}{" "}
        {first !== undefined && (
          <>
            Entries {first} to {last} of the <Link to={`/trail?run=${report.run.id}`}>trail</Link> are its proof.
          </>
        )}
      </p>
      {report.exceptions.length > 0 && (
        <>
          <Title headingLevel="h3">Exceptions</Title>
          <List>
            {report.exceptions.map((sentence) => (
              <ListItem key={sentence}>{sentence}</ListItem>
            ))}
          </List>
        </>
      )}
      <VmTimes report={report} />
      <Fold head={`${count(report.attempts.length, "attempt")}, in order`}>
        <Attempts report={report} />
      </Fold>
      <Fold head="The whole report as JSON">
        <CopyButton text={text} label="Copy the report" />
        <Raw text={text} label="Report" />
      </Fold>
    </div>
  );
}

function VmTimes({ report }: { report: Report }) {
  // A fence stops what should not run, a reprotect copies: of neither is anything seen running afterwards.
  if (report.vms.every((vm) => vm.running_at === null && vm.stopped_at === null)) return null;
  return (
    <Table aria-label="Times of the VMs" variant="compact">
      <Thead>
        <Tr>
          <Th>VM</Th>
          <Th>Power-off begun</Th>
          <Th>Seen running</Th>
          <Th>Down for</Th>
        </Tr>
      </Thead>
      <Tbody>
        {report.vms.map((vm) => (
          <Tr key={vm.name}>
            <Td dataLabel="VM">{vm.name}</Td>
            <Td dataLabel="Power-off begun">
              <Time at={vm.stopped_at} />
            </Td>
            <Td dataLabel="Seen running">
              <Time at={vm.running_at} />
            </Td>
            <Td dataLabel="Down for">{vm.down_s === null ? "not known" : elapsedWords(vm.down_s)}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function Attempts({ report }: { report: Report }) {
  return (
    <Table aria-label="Attempts" variant="compact">
      <Thead>
        <Tr>
          <Th>Step</Th>
          <Th>Attempt</Th>
          <Th>Outcome</Th>
          <Th>Command</Th>
          <Th>Host</Th>
          <Th>Intent</Th>
          <Th>Took</Th>
        </Tr>
      </Thead>
      <Tbody>
        {report.attempts.map((attempt) => (
          <Tr key={`${attempt.step} ${attempt.number}`}>
            <Td dataLabel="Step">{attempt.step}</Td>
            <Td dataLabel="Attempt">{attempt.number}</Td>
            <Td dataLabel="Outcome">
              <OutcomeText code={attempt.outcome || "running"} />
            </Td>
            <Td dataLabel="Command">
              <span className="dr-mono">{attempt.command}</span>
            </Td>
            <Td dataLabel="Host">{attempt.host}</Td>
            <Td dataLabel="Intent">
              <Time at={attempt.intent_at} />
            </Td>
            <Td dataLabel="Took">{durationWords(attempt.duration_s)}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
