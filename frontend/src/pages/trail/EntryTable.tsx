import { ExpandableRowContent, Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";
import { Link } from "react-router";
import type { Entry } from "../../api/types";
import { Raw } from "../../components/Command";
import { TimeTwice } from "../../components/Time";

export function EntryTable({ entries }: { entries: Entry[] }) {
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  const toggle = (seq: number) => {
    const next = new Set(opened);
    if (!next.delete(seq)) next.add(seq);
    setOpened(next);
  };
  return (
    <Table aria-label="Trail" variant="compact">
      <Thead>
        <Tr>
          <Th screenReaderText="Open the entry" />
          <Th>No.</Th>
          <Th>When</Th>
          <Th>Who</Th>
          <Th>What</Th>
          <Th>About</Th>
          <Th>Site</Th>
          <Th>Run</Th>
          <Th>Hash</Th>
        </Tr>
      </Thead>
      {entries.map((entry, row) => (
        <Tbody key={entry.seq} isExpanded={opened.has(entry.seq)}>
          <Tr>
            <Td
              expand={{
                rowIndex: row,
                isExpanded: opened.has(entry.seq),
                onToggle: () => toggle(entry.seq),
                expandId: "payload",
              }}
            />
            <Td dataLabel="No.">
              <Link to={`/trail/${entry.seq}`}>{entry.seq}</Link>
            </Td>
            <Td dataLabel="When">
              <TimeTwice at={entry.at} />
            </Td>
            <Td dataLabel="Who">{entry.actor}</Td>
            <Td dataLabel="What">{entry.action}</Td>
            <Td dataLabel="About">{entry.subject}</Td>
            <Td dataLabel="Site">{entry.site ?? ""}</Td>
            <Td dataLabel="Run">
              {entry.run_id === null ? "" : <Link to={`/runs/${entry.run_id}`}>{entry.run_id}</Link>}
            </Td>
            <Td dataLabel="Hash">
              <span className="dr-mono" title={entry.hash}>
                {entry.hash.slice(0, 12)}…
              </span>
            </Td>
          </Tr>
          {opened.has(entry.seq) && (
            <Tr isExpanded>
              <Td colSpan={9}>
                <ExpandableRowContent>
                  <Raw text={JSON.stringify(entry.payload, null, 2)} label={`Payload of entry ${entry.seq}`} />
                  <p className="dr-mono">{entry.hash}</p>
                </ExpandableRowContent>
              </Td>
            </Tr>
          )}
        </Tbody>
      ))}
    </Table>
  );
}
