import { ToggleGroup, ToggleGroupItem } from "@patternfly/react-core";
import { ExpandableRowContent, Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";
import type { GateView, Readiness } from "../api/types";
import { blockersFirst, type Judged, tallyOf, tallyWords } from "../lib/tally";
import { Fold } from "./Fold";
import { OutcomeText, VerdictText } from "./State";
import { Age } from "./Time";

/** Above this many, images that are all right are folded away behind their number. */
const FOLD_FROM = 12;

/** Every image and VM with its gates; what blocks comes first, and many that are all right fold into one line. */
export function ReadinessChecks({ readiness }: { readiness: Readiness }) {
  const judged = blockersFirst(readiness.images);
  const open = judged.filter((each) => each.outcome !== "met");
  const met = judged.filter((each) => each.outcome === "met");
  const [all, setAll] = useState(judged.length <= FOLD_FROM);
  const words = tallyWords(tallyOf(judged.map((each) => each.outcome)));
  return (
    <>
      <Fold head={`Images: ${words}`} open={open.length > 0 || all}>
        {met.length > 0 && judged.length > FOLD_FROM && (
          <ToggleGroup aria-label="Which images" isCompact>
            <ToggleGroupItem
              text={`Only what blocks (${open.length})`}
              buttonId="only-blockers"
              isSelected={!all}
              onChange={() => setAll(false)}
            />
            <ToggleGroupItem
              text={`All (${judged.length})`}
              buttonId="all-images"
              isSelected={all}
              onChange={() => setAll(true)}
            />
          </ToggleGroup>
        )}
        <ImageGates judged={all ? judged : open} />
      </Fold>
      <Fold
        head={`VMs: ${tallyWords(tallyOf(readiness.vms.flatMap((vm) => vm.gates.map((gate) => gate.outcome))))} (gates)`}
      >
        <VmGates readiness={readiness} />
      </Fold>
    </>
  );
}

function ImageGates({ judged }: { judged: Judged[] }) {
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  const toggle = (id: number) => {
    const next = new Set(opened);
    if (!next.delete(id)) next.add(id);
    setOpened(next);
  };
  if (judged.length === 0) return <p>Nothing blocks.</p>;
  return (
    <Table aria-label="Readiness per image" variant="compact">
      <Thead>
        <Tr>
          <Th screenReaderText="Open the gates" />
          <Th>Image</Th>
          <Th>VM</Th>
          <Th>Verdict</Th>
          <Th>Gates</Th>
          <Th>Why</Th>
        </Tr>
      </Thead>
      {judged.map(({ image, outcome, because }, row) => (
        <Tbody key={image.image_id} isExpanded={opened.has(image.image_id)}>
          <Tr>
            <Td
              expand={{
                rowIndex: row,
                isExpanded: opened.has(image.image_id),
                onToggle: () => toggle(image.image_id),
                expandId: "gates",
              }}
            />
            <Td dataLabel="Image">{image.name}</Td>
            <Td dataLabel="VM">{image.vm_name}</Td>
            <Td dataLabel="Verdict">
              <VerdictText code={image.verdict} title={image.verdict_sentence} />
            </Td>
            <Td dataLabel="Gates">
              <OutcomeText code={outcome} />
            </Td>
            <Td dataLabel="Why">{outcome === "met" ? "" : (because?.sentence ?? image.verdict_sentence)}</Td>
          </Tr>
          {opened.has(image.image_id) && (
            <Tr isExpanded>
              <Td colSpan={6}>
                <ExpandableRowContent>
                  <p>{image.verdict_sentence}</p>
                  <GateTable gates={image.gates} label={`Gates of ${image.name}`} />
                </ExpandableRowContent>
              </Td>
            </Tr>
          )}
        </Tbody>
      ))}
    </Table>
  );
}

export function GateTable({ gates, label }: { gates: GateView[]; label: string }) {
  return (
    <Table aria-label={label} variant="compact" borders={false}>
      <Thead>
        <Tr>
          <Th>Gate</Th>
          <Th>Outcome</Th>
          <Th>What was found</Th>
          <Th>What to do</Th>
          <Th>Read</Th>
        </Tr>
      </Thead>
      <Tbody>
        {gates.map((gate) => (
          <Tr key={gate.gate}>
            <Td dataLabel="Gate">{gate.gate}</Td>
            <Td dataLabel="Outcome">
              <OutcomeText code={gate.outcome} />
            </Td>
            <Td dataLabel="What was found">{gate.sentence}</Td>
            <Td dataLabel="What to do">{gate.remedy ?? ""}</Td>
            <Td dataLabel="Read">
              <Age at={gate.checked_at} stale_after_s={60} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function VmGates({ readiness }: { readiness: Readiness }) {
  return (
    <Table aria-label="Readiness per VM" variant="compact">
      <Thead>
        <Tr>
          <Th>VM</Th>
          <Th>Priority</Th>
          <Th>Where it is</Th>
          <Th>At the target</Th>
          <Th>Gates</Th>
        </Tr>
      </Thead>
      <Tbody>
        {readiness.vms.map((vm) => (
          <Tr key={vm.name}>
            <Td dataLabel="VM">{vm.name}</Td>
            <Td dataLabel="Priority">{vm.priority}</Td>
            <Td dataLabel="Where it is">{vm.phase_source}</Td>
            <Td dataLabel="At the target">{vm.phase_target}</Td>
            <Td dataLabel="Gates">
              <ul>
                {vm.gates.map((gate) => (
                  <li key={gate.gate}>
                    {gate.gate}: <OutcomeText code={gate.outcome} /> {gate.sentence}
                  </li>
                ))}
              </ul>
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
