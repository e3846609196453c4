import { Alert, AlertActionLink, Grid, GridItem } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { differenceSettle } from "../api/commands";
import type { Difference } from "../api/types";
import { useMay } from "../lib/may";
import { ReasonDialog } from "./ReasonDialog";
import { Time } from "./Time";

/** Acts of which a site's receipt and the trail say different things: an alarm each, until a manager settles it. */
export function ReceiptAlarms({ differences }: { differences: Difference[] }) {
  const [asking, setAsking] = useState<Difference | null>(null);
  if (differences.length === 0) {
    return null;
  }
  return (
    <Grid hasGutter>
      {differences.map((difference) => (
        <GridItem key={difference.id}>
          <Alert
            component="h2"
            variant="danger"
            isInline
            title={`${difference.site_name}'s own record and the trail differ`}
            actionLinks={<AlertActionLink onClick={() => setAsking(difference)}>Settle…</AlertActionLink>}
          >
            <p>
              {difference.sentence} Found <Time at={difference.found_at} />
              {difference.run_id !== null && (
                <>
                  , <Link to={`/runs/${difference.run_id}`}>run {difference.run_id}</Link>
                </>
              )}
              .
            </p>
            <BothSides difference={difference} />
          </Alert>
        </GridItem>
      ))}
      {asking && <Settling difference={asking} onClose={() => setAsking(null)} />}
    </Grid>
  );
}

const ROWS: { label: string; ours: string; theirs: string }[] = [
  { label: "Act", ours: "verb", theirs: "verb" },
  { label: "Group", ours: "group", theirs: "group" },
  { label: "Command", ours: "command", theirs: "shown" },
  { label: "Fencing number", ours: "fence", theirs: "fence" },
  { label: "Approval", ours: "approvals", theirs: "approval" },
  { label: "Outcome", ours: "outcome", theirs: "state" },
];

function BothSides({ difference }: { difference: Difference }) {
  const { ours, theirs } = difference;
  return (
    <Table aria-label={`Both records of operation ${difference.operation_id}`} variant="compact" borders={false}>
      <Thead>
        <Tr>
          <Th>Operation {difference.operation_id}</Th>
          <Th>Here</Th>
          <Th>At {difference.site_name}</Th>
        </Tr>
      </Thead>
      <Tbody>
        {ROWS.map((row) => (
          <Tr key={row.label}>
            <Td dataLabel="What">{row.label}</Td>
            <Td dataLabel="Here">{said(ours, row.ours)}</Td>
            <Td dataLabel="There">{said(theirs, row.theirs)}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

const said = (record: Record<string, unknown> | null, field: string) =>
  record === null ? "no record" : String(record[field] ?? "") || "nothing";

function Settling({ difference, onClose }: { difference: Difference; onClose: () => void }) {
  const client = useQueryClient();
  const { whyNot } = useMay("review");
  const settle = useMutation({
    mutationFn: (because: string) => differenceSettle(difference.id, because),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["overview"] });
      onClose();
    },
  });
  return (
    <ReasonDialog
      title="Settle this difference?"
      consequences={[
        "The alarm goes from the overview. Both records and your reason stay, here and in the trail.",
        `${difference.site_name} may forget its receipt after the next comparison.`,
        ...(whyNot ? [whyNot] : []),
      ]}
      button="Settle this difference"
      reasonNeeded
      whyNot={whyNot}
      busy={settle.isPending}
      error={settle.error}
      onConfirm={(because) => settle.mutate(because)}
      onClose={onClose}
    />
  );
}
