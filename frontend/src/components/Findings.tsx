import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { Finding } from "../api/types";
import { SeverityText } from "./State";

const ORDER = ["block", "warn", "info"];

/** What stands in the way, and what to do about it; blockers first. */
export function Findings({ findings, label }: { findings: Finding[]; label: string }) {
  const sorted = [...findings].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
  return (
    <Table aria-label={label} variant="compact">
      <Thead>
        <Tr>
          <Th width={10}>Weight</Th>
          <Th width={20}>About</Th>
          <Th>What</Th>
          <Th>What to do</Th>
        </Tr>
      </Thead>
      <Tbody>
        {sorted.map((found) => (
          <Tr key={`${found.code} ${found.subject} ${found.sentence}`}>
            <Td dataLabel="Weight">
              <SeverityText code={found.severity} />
            </Td>
            <Td dataLabel="About">{found.subject}</Td>
            <Td dataLabel="What">{found.sentence}</Td>
            <Td dataLabel="What to do">{found.remedy ?? ""}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
