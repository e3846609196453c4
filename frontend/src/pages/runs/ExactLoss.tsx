import { PageSection, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { Run } from "../../api/types";
import { StateText } from "../../components/State";
import { Time } from "../../components/Time";
import { count, sizeWords } from "../../lib/words";

/** What the returned site held and nobody else: measured before anything was discarded, beside what was said before. */
export function ExactLoss({ run }: { run: Run }) {
  if (run.exact_loss.length === 0) return null;
  return (
    <PageSection className="dr-stack">
      <Title headingLevel="h2">What was lost, measured at {run.source_site}</Title>
      <Table aria-label="What was lost" variant="compact">
        <Thead>
          <Tr>
            <Th>Image</Th>
            <Th>Measured</Th>
            <Th>Said before the failover</Th>
            <Th>How</Th>
            <Th>When</Th>
          </Tr>
        </Thead>
        <Tbody>
          {run.exact_loss.map((loss) => (
            <Tr key={loss.image}>
              <Td dataLabel="Image" modifier="nowrap">
                {loss.image}
              </Td>
              <Td dataLabel="Measured">
                {loss.bytes === null ? (
                  <StateText state={{ word: "Not measurable", tone: "unsure" }} />
                ) : (
                  <>
                    {loss.bytes < 1024
                      ? count(loss.bytes, "byte")
                      : `${sizeWords(loss.bytes)} (${count(loss.bytes, "byte")})`}
                    {loss.entries !== null && `, ${count(loss.entries, "write")}`}
                  </>
                )}
              </Td>
              <Td dataLabel="Said before the failover">{loss.bound || "nothing is kept"}</Td>
              <Td dataLabel="How">{loss.how || loss.why}</Td>
              <Td dataLabel="When">
                <Time at={loss.measured_at} />
              </Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
    </PageSection>
  );
}
