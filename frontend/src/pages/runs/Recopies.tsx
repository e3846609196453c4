import { PageSection, Progress, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { Run } from "../../api/types";
import { Fold } from "../../components/Fold";
import { StateText } from "../../components/State";
import { Age } from "../../components/Time";
import { copiedWords, leftWords, rateWords } from "../../lib/copied";
import { count, sizeWords, type Word } from "../../lib/words";

const STATES: Record<string, Word> = {
  not_begun: { word: "Not begun", tone: "idle" },
  copying: { word: "Copying", tone: "busy" },
  whole: { word: "Whole", tone: "good" },
  untold: { word: "Not told", tone: "unsure" },
};
const FOLD_FROM = 12;

/** How far the copies are that this run makes anew: for the run, and for each image. */
export function Recopies({ run }: { run: Run }) {
  const all = run.recopy;
  if (all === null) return null;
  const percent = all.total_bytes ? Math.floor((100 * all.copied_bytes) / all.total_bytes) : 0;
  return (
    <PageSection className="dr-stack">
      <Title headingLevel="h2">Copied anew at {run.source_site}</Title>
      <Progress
        value={percent}
        title={`${copiedWords(all)}${all.untold > 0 ? ` at least, ${count(all.untold, "image")} not told of` : ""}`}
        aria-label="Bytes copied"
        helperText={
          <>
            {all.sentence} {all.copying > 0 && `${rateWords(all.bytes_per_second)}, ${leftWords(all.eta_s)}.`}{" "}
            {all.told_at !== null && (
              <>
                The oldest figure: <Age at={all.told_at} stale_after_s={75} />.
              </>
            )}
          </>
        }
      />
      <Fold head={count(all.images.length, "image")} open={all.images.length <= FOLD_FROM}>
        <Table aria-label="Copied anew" variant="compact">
          <Thead>
            <Tr>
              <Th>Image</Th>
              <Th>State</Th>
              <Th>Copied</Th>
              <Th>Rate</Th>
              <Th>Time left</Th>
              <Th>Told</Th>
            </Tr>
          </Thead>
          <Tbody>
            {all.images.map((one) => (
              <Tr key={one.image}>
                <Td dataLabel="Image">{one.image}</Td>
                <Td dataLabel="State">
                  <StateText state={STATES[one.state] ?? { word: one.state, tone: "unsure" }} title={one.sentence} />
                </Td>
                <Td dataLabel="Copied">
                  {one.copied_bytes === null ? "unknown" : sizeWords(one.copied_bytes)} of {sizeWords(one.total_bytes)}
                  {one.percent !== null && ` (${one.percent} %)`}
                </Td>
                <Td dataLabel="Rate">
                  {one.bytes_per_second === null ? "unknown" : `${sizeWords(one.bytes_per_second)}/s`}
                </Td>
                <Td dataLabel="Time left">{one.state === "copying" ? leftWords(one.eta_s) : ""}</Td>
                <Td dataLabel="Told">{one.told_at === null ? "" : <Age at={one.told_at} stale_after_s={75} />}</Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      </Fold>
    </PageSection>
  );
}
