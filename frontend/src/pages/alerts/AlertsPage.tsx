import { Card, CardBody, CardTitle, PageSection } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { alertsQuery } from "../../api/queries";
import type { AlertRow } from "../../api/types";
import { Fold } from "../../components/Fold";
import { Empty, Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { StateText } from "../../components/State";
import { Time } from "../../components/Time";
import { count } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { ChannelsCard } from "./ChannelsCard";
import { RulesCard } from "./RulesCard";

export function AlertsPage() {
  const query = useQuery({ ...alertsQuery, refetchInterval: useLive(["overview"]) });
  return (
    <>
      <PageHead title="Alerts">
        Of what people are told without looking here. Each condition is told once, and once more when it is over.
      </PageHead>
      <PageSection className="dr-stack">
        <Loaded query={query} what="The alerts">
          {(alerts) => (
            <div className="dr-stack">
              <Card>
                <CardTitle component="h2">Now</CardTitle>
                <CardBody>
                  {alerts.open.length === 0 ? (
                    <Empty title="No rule's condition holds">
                      {alerts.rules.length === 0 ? "There is no rule yet." : null}
                    </Empty>
                  ) : (
                    <AlertTable label="Open alerts" rows={alerts.open} />
                  )}
                  <Fold head={`${count(alerts.ended.length, "alert")} that are over`}>
                    <AlertTable label="Alerts that are over" rows={alerts.ended} />
                  </Fold>
                </CardBody>
              </Card>
              <RulesCard alerts={alerts} />
              <ChannelsCard channels={alerts.channels} />
            </div>
          )}
        </Loaded>
      </PageSection>
    </>
  );
}

function AlertTable({ label, rows }: { label: string; rows: AlertRow[] }) {
  return (
    <Table aria-label={label} variant="compact">
      <Thead>
        <Tr>
          <Th>Rule</Th>
          <Th>What</Th>
          <Th>Since</Th>
          <Th>Told</Th>
          <Th>Over</Th>
        </Tr>
      </Thead>
      <Tbody>
        {rows.map((row) => (
          <Tr key={row.id}>
            <Td dataLabel="Rule">{row.rule}</Td>
            <Td dataLabel="What">
              {row.path ? <Link to={row.path}>{row.sentence}</Link> : row.sentence}
              {row.troubles.map((trouble) => (
                <p key={trouble}>
                  <StateText state={{ word: trouble, tone: "bad" }} />
                </p>
              ))}
            </Td>
            <Td dataLabel="Since">
              <Time at={row.began_at} />
            </Td>
            <Td dataLabel="Told">{row.fired_at === null ? "not for long enough yet" : count(row.told, "message")}</Td>
            <Td dataLabel="Over">{row.ended_at === null ? "no" : <Time at={row.ended_at} />}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
