import { Button, Checkbox, Flex } from "@patternfly/react-core";
import AngleDownIcon from "@patternfly/react-icons/dist/esm/icons/angle-down-icon";
import AngleRightIcon from "@patternfly/react-icons/dist/esm/icons/angle-right-icon";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useCallback, useMemo, useRef, useState } from "react";
import type { Cell, Cells, Column, Run, RunVm } from "../../api/types";
import { StateText } from "../../components/State";
import { cellWord, count } from "../../lib/words";
import { cellTone, foldCells, imageCount, inTrouble, type Row, rowsOf } from "./checklistRows";

export type OpenStep = (stepId: number, gate: string | null) => void;

const ROW_PX = 40;

/** Up to this many rows all are drawn, and the columns are as wide as they need; above it columns have a fixed width. */
const DRAW_ALL_UP_TO = 100;
const NAME_REM = 17;
const COLUMN_REM = 8;

/** One row per image under its VM, one cell per gate or step. Only the rows in sight are drawn, so 2000 stay smooth. */
export function Checklist({ run, onOpen }: { run: Run; onOpen: OpenStep }) {
  const [chosen, setChosen] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [onlyTrouble, setOnlyTrouble] = useState(false);
  const rows = useMemo(() => rowsOf(run, chosen, onlyTrouble), [run, chosen, onlyTrouble]);
  const troubled = useMemo(() => run.vms.filter(inTrouble).length, [run.vms]);
  const fold = useCallback((vm: string, open: boolean) => setChosen((was) => new Map(was).set(vm, open)), []);
  const foldAll = (open: boolean) => setChosen(new Map(run.vms.map((vm) => [vm.name, open])));
  return (
    <>
      <Flex>
        <span>
          {count(run.vms.length, "VM")}, {count(imageCount(run), "image")}
        </span>
        <Button variant="link" isInline onClick={() => foldAll(true)}>
          Open all
        </Button>
        <Button variant="link" isInline onClick={() => foldAll(false)}>
          Fold all
        </Button>
        <Checkbox
          id="only-trouble"
          label={`Only what needs attention (${count(troubled, "VM")})`}
          isChecked={onlyTrouble}
          onChange={(_event, checked) => setOnlyTrouble(checked)}
        />
      </Flex>
      <Rows rows={rows} columns={run.columns} onFold={fold} onOpen={onOpen} />
    </>
  );
}

function Rows({
  rows,
  columns,
  onFold,
  onOpen,
}: {
  rows: Row[];
  columns: Column[];
  onFold: (vm: string, open: boolean) => void;
  onOpen: OpenStep;
}) {
  const frame = useRef<HTMLElement>(null);
  const isBig = rows.length > DRAW_ALL_UP_TO;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: isBig ? 10 : DRAW_ALL_UP_TO,
  });
  const seen = virtual.getVirtualItems();
  const before = seen[0]?.start ?? 0;
  const after = virtual.getTotalSize() - (seen.at(-1)?.end ?? 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section className="dr-checklist" ref={frame} tabIndex={0} aria-label="Checklist">
      <table
        aria-rowcount={rows.length + 1}
        className={isBig ? "dr-fixed" : undefined}
        style={isBig ? { minWidth: `${NAME_REM + COLUMN_REM * columns.length}rem` } : undefined}
      >
        {isBig && (
          <colgroup>
            <col style={{ width: `${NAME_REM}rem` }} />
            <col span={columns.length} />
          </colgroup>
        )}
        <thead>
          <tr aria-rowindex={1}>
            <th scope="col">VM and image</th>
            {columns.map((column) => (
              <ColumnHead key={column.id} column={column} />
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <Gap px={before} />}
          {seen.map((item) => {
            const row = rows[item.index] as Row;
            const place = item.index + 2;
            return row.type === "vm" ? (
              <VmRow
                key={item.key}
                place={place}
                vm={row.vm}
                open={row.open}
                columns={columns}
                onFold={onFold}
                onOpen={onOpen}
              />
            ) : (
              <ImageRow
                key={item.key}
                place={place}
                name={row.image.name}
                cells={row.image.cells}
                columns={columns}
                onOpen={onOpen}
              />
            );
          })}
          {after > 0 && <Gap px={after} />}
        </tbody>
      </table>
    </section>
  );
}

/** A gate is headed by its short id; its whole sentence is in the tooltip and for the screen reader. */
function ColumnHead({ column }: { column: Column }) {
  if (column.kind !== "gate") return <th scope="col">{column.title}</th>;
  return (
    <th scope="col">
      <abbr title={column.title}>{column.id}</abbr>
      <span className="pf-v6-screen-reader"> {column.title}</span>
    </th>
  );
}

/** Room of the rows that are not drawn, so that the scroll bar tells the truth. */
function Gap({ px }: { px: number }) {
  return (
    <tr>
      <td style={{ height: px, padding: 0, border: 0 }} />
    </tr>
  );
}

const VmRow = memo(function VmRow({
  place,
  vm,
  open,
  columns,
  onFold,
  onOpen,
}: {
  place: number;
  vm: RunVm;
  open: boolean;
  columns: Column[];
  onFold: (vm: string, open: boolean) => void;
  onOpen: OpenStep;
}) {
  return (
    <tr className="dr-vm" aria-rowindex={place}>
      <th scope="row">
        <button type="button" className="dr-cell" aria-expanded={open} onClick={() => onFold(vm.name, !open)}>
          {open ? <AngleDownIcon /> : <AngleRightIcon />} {vm.name}{" "}
          <span className="dr-quiet">
            priority {vm.priority}, {count(vm.images.length, "image")}
          </span>
        </button>
      </th>
      {columns.map((column) => (
        <td key={column.id}>
          <VmCell vm={vm} column={column} open={open} onOpen={onOpen} />
        </td>
      ))}
    </tr>
  );
});

function VmCell({ vm, column, open, onOpen }: { vm: RunVm; column: Column; open: boolean; onOpen: OpenStep }) {
  const own = vm.cells[column.id];
  if (own) return <CellButton cell={own} subject={vm.name} column={column} onOpen={onOpen} />;
  const folded = open ? null : foldCells(vm.images, column.id);
  return folded ? <StateText state={{ word: folded.words, tone: folded.tone }} /> : null;
}

const ImageRow = memo(function ImageRow({
  place,
  name,
  cells,
  columns,
  onOpen,
}: {
  place: number;
  name: string;
  cells: Cells;
  columns: Column[];
  onOpen: OpenStep;
}) {
  return (
    <tr aria-rowindex={place}>
      <th scope="row" className="dr-image-name">
        {name}
      </th>
      {columns.map((column) => {
        const cell = cells[column.id];
        return (
          <td key={column.id}>{cell && <CellButton cell={cell} subject={name} column={column} onOpen={onOpen} />}</td>
        );
      })}
    </tr>
  );
});

function CellButton({
  cell,
  subject,
  column,
  onOpen,
}: {
  cell: Cell;
  subject: string;
  column: Column;
  onOpen: OpenStep;
}) {
  const state = { word: cell.word || cellWord(cell.state).word, tone: cellTone(cell) };
  if (cell.step_id === null) return <StateText state={state} title={cell.sentence} />;
  const stepId = cell.step_id;
  return (
    <button
      type="button"
      className="dr-cell"
      data-cell={`${stepId} ${cell.gate ?? ""}`}
      aria-label={`${column.title} of ${subject}: ${state.word}. Open the details`}
      onClick={() => onOpen(stepId, cell.gate)}
    >
      <StateText state={state} title={cell.sentence} />
    </button>
  );
}
