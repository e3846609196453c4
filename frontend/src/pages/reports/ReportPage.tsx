import {
  DescriptionList,
  FormGroup,
  FormSelect,
  FormSelectOption,
  List,
  ListItem,
  PageSection,
  Title,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link, useSearchParams } from "react-router";
import { plansQuery, quarterReportQuery } from "../../api/queries";
import type { QuarterReport } from "../../api/types";
import { Empty, Loaded } from "../../components/Loaded";
import { MadeFacts } from "../../components/Made";
import { PageHead } from "../../components/PageHead";
import { PaperButtons } from "../../components/PaperButtons";
import { Time, TimeTwice } from "../../components/Time";
import { now_ms } from "../../lib/clock";
import { lastQuarters, quarterFrom, quarterOf, quarterWord } from "../../lib/quarter";
import { elapsedWords } from "../../lib/time";
import { kindWord, runStateWord } from "../../lib/words";
import { REVIEW_WORD } from "../reviews/words";
import { Fact } from "../runs/RunFacts";

const CHOICES = 12;

/** Tests held, results and open points of a quarter, of all plans or of one: to print and hand over. */
export function ReportPage() {
  const [params, setParams] = useSearchParams();
  const quarter = quarterFrom(params.get("quarter") ?? "") ?? quarterOf(now_ms());
  const plan = Number(params.get("plan") ?? "") || null;
  const query = useQuery(quarterReportQuery(quarter, plan));
  const name = query.data?.plans.find((one) => one.plan_id === plan)?.plan_name;
  const choose = (key: string, value: string) => {
    params.set(key, value);
    setParams(params);
  };
  return (
    <>
      <PageHead
        title={`Report of ${quarterWord(quarter)}${name ? ` for ${name}` : ""}`}
        actions={<PaperButtons name={`report-${quarter.year}-q${quarter.quarter}`} />}
      />
      <PageSection className="dr-stack">
        <div className="dr-actions dr-no-print">
          <FormGroup label="Quarter" fieldId="report-quarter">
            <FormSelect
              id="report-quarter"
              className="dr-quarter"
              value={quarterWord(quarter)}
              onChange={(_event, value) => choose("quarter", value)}
            >
              {lastQuarters(now_ms(), CHOICES).map((each) => (
                <FormSelectOption key={quarterWord(each)} value={quarterWord(each)} label={quarterWord(each)} />
              ))}
            </FormSelect>
          </FormGroup>
          <PlanChoice plan={plan} onChoose={(value) => choose("plan", value)} />
        </div>
        <Loaded query={query} what="The report">
          {(report) => <Told report={report} />}
        </Loaded>
      </PageSection>
    </>
  );
}

function PlanChoice({ plan, onChoose }: { plan: number | null; onChoose: (value: string) => void }) {
  const plans = useQuery(plansQuery);
  return (
    <FormGroup label="Plan" fieldId="report-plan">
      <FormSelect id="report-plan" value={plan ?? ""} onChange={(_event, value) => onChoose(value)}>
        <FormSelectOption value="" label="All plans" />
        {plans.data?.items.map((each) => (
          <FormSelectOption key={each.id} value={each.id} label={each.name} />
        ))}
      </FormSelect>
    </FormGroup>
  );
}

function Told({ report }: { report: QuarterReport }) {
  return (
    <>
      <DescriptionList isHorizontal isCompact>
        <Fact term="From">
          <TimeTwice at={report.since} />
        </Fact>
        <Fact term="To">
          <TimeTwice at={report.until} />
        </Fact>
        <MadeFacts made={report.made} />
      </DescriptionList>
      <Part title="Open points">
        {report.open.length === 0 ? (
          <p>None.</p>
        ) : (
          <List>
            {report.open.map((sentence) => (
              <ListItem key={sentence}>{sentence}</ListItem>
            ))}
          </List>
        )}
      </Part>
      <Part title="Results">
        <Results report={report} />
      </Part>
      <Part title="Plans">
        <Plans report={report} />
      </Part>
      <Part title="Runs">
        <Runs report={report} />
      </Part>
      <Part title="What this report shows, and what it does not">
        <Mapping report={report} />
      </Part>
    </>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="dr-stack">
      <Title headingLevel="h2">{title}</Title>
      {children}
    </section>
  );
}

function Results({ report }: { report: QuarterReport }) {
  const rows = Object.entries(report.results);
  if (rows.length === 0) return <p>No run ended in this time.</p>;
  return (
    <List>
      {rows.map(([kind, states]) => (
        <ListItem key={kind}>
          {kindWord(kind)}:{" "}
          {Object.entries(states)
            .map(([state, number]) => `${number} ${runStateWord(state).word.toLowerCase()}`)
            .join(", ")}
        </ListItem>
      ))}
    </List>
  );
}

function Plans({ report }: { report: QuarterReport }) {
  if (report.plans.length === 0) return <Empty title="There is no plan" />;
  return (
    <Table aria-label="Plans" variant="compact">
      <Thead>
        <Tr>
          <Th>Plan</Th>
          <Th modifier="wrap">Exercised in this time</Th>
          <Th modifier="wrap">Last exercised</Th>
          <Th modifier="wrap">RTO target</Th>
          <Th modifier="wrap">Met / not met</Th>
          <Th>Stands now</Th>
        </Tr>
      </Thead>
      <Tbody>
        {report.plans.map((plan) => (
          <Tr key={plan.plan_id}>
            <Td dataLabel="Plan">
              <Link to={`/plans/${plan.plan_id}`}>{plan.plan_name}</Link>
            </Td>
            <Td dataLabel="Exercised in this time">{plan.exercised_within}</Td>
            <Td dataLabel="Last exercised">{plan.exercised_at ? <Time at={plan.exercised_at} /> : "never"}</Td>
            <Td dataLabel="RTO target">{plan.rto_s === null ? "none agreed" : elapsedWords(plan.rto_s)}</Td>
            <Td dataLabel="Met / not met">
              {plan.within_target} / {plan.beyond_target}
            </Td>
            <Td dataLabel="Stands now">{plan.sentence}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function Runs({ report }: { report: QuarterReport }) {
  if (report.runs.length === 0) return <p>None.</p>;
  return (
    <>
      {report.cut && <p>There are more: only the newest are listed. The results above count all of them.</p>}
      <Table aria-label="Runs" variant="compact">
        <Thead>
          <Tr>
            <Th>Run</Th>
            <Th>Plan</Th>
            <Th>Ended</Th>
            <Th>Took</Th>
            <Th>Result</Th>
            <Th modifier="wrap">Time against target</Th>
            <Th modifier="wrap">Data lost</Th>
            <Th modifier="wrap">Asked for by</Th>
            <Th modifier="wrap">Approved by</Th>
            <Th modifier="wrap">Review</Th>
          </Tr>
        </Thead>
        <Tbody>
          {report.runs.map((run) => (
            <Tr key={run.id}>
              <Td dataLabel="Run">
                <Link to={`/runs/${run.id}/review`}>
                  {run.id}, {kindWord(run.kind).toLowerCase()}
                </Link>
              </Td>
              <Td dataLabel="Plan">{run.plan}</Td>
              <Td dataLabel="Ended">
                <Time at={run.finished_at} />
              </Td>
              <Td dataLabel="Took">{elapsedWords(run.duration_s)}</Td>
              <Td dataLabel="Result">
                {runStateWord(run.state).word}. {run.sentence}
              </Td>
              <Td dataLabel="Time against target">{run.recovery.sentence}</Td>
              <Td dataLabel="Data lost">{run.lost}</Td>
              <Td dataLabel="Asked for by">{run.requested_by}</Td>
              <Td dataLabel="Approved by">{run.approved_by.join(", ") || "not needed"}</Td>
              <Td dataLabel="Review">{REVIEW_WORD[run.review] ?? run.review}</Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
    </>
  );
}

/** Beside each section, where DORA and ISO 22301 ask for such a thing: a help for whoever audits, and no certificate. */
function Mapping({ report }: { report: QuarterReport }) {
  return (
    <>
      <p>
        Articles of Regulation (EU) 2022/2554 (DORA) and clauses of ISO 22301:2019 that a section has to do with.
        Whether they are met is for an auditor to say.
      </p>
      <Table aria-label="Sections, articles and clauses" variant="compact">
        <Thead>
          <Tr>
            <Th modifier="wrap">Section</Th>
            <Th>DORA</Th>
            <Th>ISO 22301</Th>
            <Th>It shows</Th>
            <Th modifier="wrap">It does not show</Th>
          </Tr>
        </Thead>
        <Tbody>
          {report.mapping.map((line) => (
            <Tr key={line.section}>
              <Td dataLabel="Section">{line.section}</Td>
              <Td dataLabel="DORA">{line.dora}</Td>
              <Td dataLabel="ISO 22301">{line.iso}</Td>
              <Td dataLabel="It shows">{line.shows}</Td>
              <Td dataLabel="It does not show">{line.shows_not}</Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
    </>
  );
}
