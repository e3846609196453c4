import { PageSection, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { Run } from "../../api/types";
import { Fold } from "../../components/Fold";
import { StateText } from "../../components/State";
import { cellWord, count } from "../../lib/words";
import { WAY_WORDS } from "../move/SalvageChoice";

const FOLD_FROM = 12;

/** What was chosen for what only the returned site had, and what came of it: path and sum, name of the copy, or why not. */
export function Salvaged({ run }: { run: Run }) {
  if (run.salvage.length === 0) return null;
  return (
    <PageSection className="dr-stack">
      <Title headingLevel="h2">What only {run.source_site} had</Title>
      <Fold head={count(run.salvage.length, "image")} open={run.salvage.length <= FOLD_FROM}>
        <Table aria-label={`What only ${run.source_site} had`} variant="compact">
          <Thead>
            <Tr>
              <Th>Image</Th>
              <Th>Chosen</Th>
              <Th>State</Th>
              <Th>What came of it</Th>
            </Tr>
          </Thead>
          <Tbody>
            {run.salvage.map((one) => (
              <Tr key={one.image}>
                <Td dataLabel="Image">{one.image}</Td>
                <Td dataLabel="Chosen">{WAY_WORDS[one.way] ?? one.way}</Td>
                <Td dataLabel="State">
                  <StateText state={one.state === "waived" ? { word: "Waived", tone: "warn" } : cellWord(one.state)} />
                </Td>
                <Td dataLabel="What came of it">{one.sentence}</Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      </Fold>
    </PageSection>
  );
}
