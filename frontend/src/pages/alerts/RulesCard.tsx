import { Card, CardBody, CardTitle, Flex } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ruleDelete } from "../../api/commands";
import type { AlertRule, Alerts } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { Empty, ProblemAlert } from "../../components/Loaded";
import { useMay } from "../../lib/may";
import { spanWords } from "../../lib/time";
import { RuleDialog } from "./RuleDialog";

/** Of what, after how long, to whom, and when not. */
export function RulesCard({ alerts }: { alerts: Alerts }) {
  const { whyNot } = useMay("alerts", "everywhere");
  const [editing, setEditing] = useState<AlertRule | "new" | null>(null);
  return (
    <Card>
      <CardTitle component="h2">Rules</CardTitle>
      <CardBody className="dr-stack">
        {alerts.rules.length === 0 ? (
          <Empty title="Nobody is told of anything yet">A rule names a condition and the channels to tell.</Empty>
        ) : (
          <Table aria-label="Rules" variant="compact">
            <Thead>
              <Tr>
                <Th>Rule</Th>
                <Th>When</Th>
                <Th>For at least</Th>
                <Th>To</Th>
                <Th>Quiet hours</Th>
                <Th screenReaderText="Actions" />
              </Tr>
            </Thead>
            <Tbody>
              {alerts.rules.map((rule) => (
                <RuleRow key={rule.id} rule={rule} alerts={alerts} onEdit={() => setEditing(rule)} />
              ))}
            </Tbody>
          </Table>
        )}
        <ActButton variant="secondary" whyNot={whyNot} onClick={() => setEditing("new")}>
          Add a rule
        </ActButton>
        {editing && (
          <RuleDialog rule={editing === "new" ? null : editing} alerts={alerts} onClose={() => setEditing(null)} />
        )}
      </CardBody>
    </Card>
  );
}

function RuleRow({ rule, alerts, onEdit }: { rule: AlertRule; alerts: Alerts; onEdit: () => void }) {
  const client = useQueryClient();
  const { whyNot } = useMay("alerts", "everywhere");
  const remove = useMutation({
    mutationFn: () => ruleDelete(rule.id),
    onSuccess: () => client.invalidateQueries({ queryKey: ["alerts"] }),
  });
  const names = alerts.channels.filter((channel) => rule.channels.includes(channel.id)).map((one) => one.name);
  return (
    <Tr>
      <Td dataLabel="Rule">
        {rule.name}
        {!rule.enabled && " (switched off)"}
      </Td>
      <Td dataLabel="When">{alerts.kinds.find((one) => one.kind === rule.kind)?.sentence ?? rule.kind}</Td>
      <Td dataLabel="For at least">{rule.for_s === 0 ? "at once" : spanWords(rule.for_s)}</Td>
      <Td dataLabel="To">{names.length > 0 ? names.join(", ") : "nobody: it is only shown here"}</Td>
      <Td dataLabel="Quiet hours">
        {rule.quiet_from === null
          ? "none"
          : `${rule.quiet_from.slice(0, 5)} to ${rule.quiet_until?.slice(0, 5)} (${rule.zone})${rule.urgent ? ", but urgent" : ""}`}
      </Td>
      <Td dataLabel="Actions">
        <ProblemAlert error={remove.error} />
        <Flex>
          <ActButton variant="secondary" whyNot={whyNot} onClick={onEdit}>
            Change {rule.name}
          </ActButton>
          <ActButton variant="link" isDanger whyNot={whyNot} onClick={() => remove.mutate()}>
            Remove {rule.name}
          </ActButton>
        </Flex>
      </Td>
    </Tr>
  );
}
