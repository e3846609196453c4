import { PageSection, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { Run } from "../../api/types";
import { StateText } from "../../components/State";

/** How surely each VM can neither run nor write at the site that was left. */
export function Fences({ run }: { run: Run }) {
  if (run.fence.length === 0) return null;
  return (
    <PageSection className="dr-stack">
      <Title headingLevel="h2">Fence at {run.source_site}</Title>
      <Table aria-label="Fence" variant="compact">
        <Thead>
          <Tr>
            <Th>VM</Th>
            <Th>Rung reached</Th>
            <Th>What that means</Th>
          </Tr>
        </Thead>
        <Tbody>
          {run.fence.map((each) => (
            <Tr key={each.vm}>
              <Td dataLabel="VM" modifier="nowrap">
                {each.vm}
              </Td>
              <Td dataLabel="Rung reached">
                <StateText state={{ word: `${each.rung} (${each.wanted} wanted)`, tone: toneOf(each) }} />
              </Td>
              <Td dataLabel="What that means">{each.sentence}</Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
    </PageSection>
  );
}

function toneOf({ rung, wanted }: { rung: number; wanted: number }) {
  if (rung >= wanted) return "good";
  return rung > 0 ? "warn" : "bad";
}
