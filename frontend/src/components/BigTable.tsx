import { Alert, Button } from "@patternfly/react-core";
import type { UseQueryResult } from "@tanstack/react-query";
import { defaultRangeExtractor, type Range, useVirtualizer, type VirtualItem } from "@tanstack/react-virtual";
import {
  type FocusEvent,
  type KeyboardEvent,
  type MouseEvent,
  memo,
  type ReactNode,
  useId,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import { Problem } from "../api/client";
import { type Page, type PagesOf, useRows } from "../api/pages";
import { type Spot, walked } from "../lib/gridKeys";
import { count } from "../lib/words";

export type BigColumn<Row> = { title: string; rem: number; cell: (row: Row) => ReactNode };

/** Room to both sides of what is in sight, so that fast scrolling meets no holes. */
const OVERSCAN = 12;

/**
 * Rows come and go by so many at a time: in most frames of a scrolled table nothing is drawn anew, and the browser only
 * moves what it has.
 */
const BLOCK = 8;

const inBlocks = (range: Range): Range => ({
  ...range,
  startIndex: Math.floor(range.startIndex / BLOCK) * BLOCK,
  endIndex: Math.min(range.count - 1, Math.ceil((range.endIndex + 1) / BLOCK) * BLOCK - 1),
});

/** `rowPx`: the height of a row; with `grows` only a guess, and rows are as high as what is in them. */
type Look<Row> = {
  label: string;
  noun: string;
  columns: BigColumn<Row>[];
  rowPx: number;
  grows?: boolean;
  isOpened?: (row: Row) => boolean;
  onOpen?: (row: Row) => void;
};

/** A table of any length, of which only the rows in sight are read. */
export function BigTable<Row, P extends Page<Row>>({
  pages,
  first,
  interval_ms,
  isOld = false,
  ...look
}: Look<Row> & { pages: PagesOf<P>; first: P; interval_ms: number; isOld?: boolean }) {
  const sight = useSight(first.total, look.rowPx, JSON.stringify(pages("").queryKey));
  const { rowAt, trouble } = useRows<Row, P>(pages, { first, isOld, from: sight.from, to: sight.to, interval_ms });
  return <Grid {...look} sight={sight} isOld={isOld} rowAt={rowAt} trouble={trouble} />;
}

/** The same of rows that are all at hand. */
export function WholeTable<Row>({ rows, ...look }: Look<Row> & { rows: readonly Row[] }) {
  const sight = useSight(rows.length, look.rowPx, "");
  return <Grid {...look} sight={sight} isOld={false} rowAt={(index) => rows[index]} trouble={undefined} />;
}

/** What is drawn of a long list, and where its keyboard stands. `of`: which list it is; another begins anew. */
function useSight(total: number, rowPx: number, of: string) {
  const frame = useRef<HTMLElement>(null);
  const [chosen, setChosen] = useState<Spot>({ row: 0, column: 0 });
  const at: Spot = { ...chosen, row: Math.max(0, Math.min(chosen.row, total - 1)) };
  const virtual = useVirtualizer({
    count: total,
    getScrollElement: () => frame.current,
    estimateSize: () => rowPx,
    overscan: OVERSCAN,
    // Beneath the head, which stays.
    scrollPaddingStart: HEAD_PX,
    rangeExtractor: (range) => {
      const shown = defaultRangeExtractor(inBlocks(range));
      if (at.row < range.count && !shown.includes(at.row)) shown.push(at.row);
      return shown.sort((a, b) => a - b);
    },
  });
  const items = virtual.getVirtualItems();
  const range = virtual.range ?? { startIndex: 0, endIndex: 0 }; // not measured yet: the first page is at hand
  const from = Math.max(0, range.startIndex - OVERSCAN);
  const to = Math.min(total - 1, range.endIndex + OVERSCAN);
  useNewList(of, () => {
    setChosen({ row: 0, column: 0 });
    frame.current?.scrollTo({ top: 0 });
  });
  return { total, frame, at, setChosen, virtual, items, range, from, to };
}

/**
 * Only the rows in sight are drawn. It is walked through like a list, by arrows, Page Up and Down, Home and End; the
 * cell that has the focus stays drawn wherever one scrolls.
 */
function Grid<Row>({
  label,
  noun,
  columns,
  grows = false,
  isOpened,
  onOpen,
  sight,
  isOld,
  rowAt,
  trouble,
}: Look<Row> & {
  sight: ReturnType<typeof useSight>;
  isOld: boolean;
  rowAt: (index: number) => Row | undefined;
  trouble: UseQueryResult<unknown, Error> | undefined;
}) {
  const hint = useId();
  const { total, frame, at, setChosen, virtual, items, range } = sight;
  const focusWanted = useOneTabStop(frame, at);
  const keyDown = (event: KeyboardEvent<HTMLElement>) => {
    if (event.altKey || event.metaKey || isTyping(event.target, event.key)) return;
    if (event.key === "Enter" && isCell(event.target)) {
      event.target.querySelector<HTMLElement>(WIDGETS)?.click();
      return;
    }
    const screen = Math.max(1, range.endIndex - range.startIndex - 1);
    const to = walked(at, event.key, { rows: total, columns: columns.length, screen });
    if (to === null) return;
    event.preventDefault();
    focusWanted.current = true;
    setChosen(to);
    virtual.scrollToIndex(to.row, { align: "auto" });
  };
  const focused = (event: FocusEvent<HTMLElement>) => {
    const spot = spotOf(event.target);
    if (spot && (spot.row !== at.row || spot.column !== at.column)) setChosen(spot);
  };
  return (
    <>
      <p role="status" className="dr-quiet">
        {isOld ? "Reading what fits the filter…" : count(total, noun)}
      </p>
      {trouble && <RowsMissing error={trouble.error} onAgain={() => void trouble.refetch()} />}
      <section ref={frame} className="dr-checklist dr-big" aria-busy={isOld}>
        <table
          // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: cells are walked through by keyboard
          role="grid"
          onKeyDown={keyDown}
          onFocus={focused}
          aria-label={label}
          aria-describedby={hint}
          aria-rowcount={total + 1}
          className={grows ? "dr-fixed dr-grows" : "dr-fixed"}
          style={{ minWidth: `${columns.reduce((sum, column) => sum + column.rem, 0)}rem` }}
        >
          <colgroup>
            {columns.map((column) => (
              <col key={column.title} style={{ width: `${column.rem}rem` }} />
            ))}
          </colgroup>
          <thead>
            <tr aria-rowindex={1}>
              {columns.map((column) => (
                <th key={column.title} scope="col">
                  {column.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {withRoom(items, virtual.getTotalSize()).map((item) =>
              "px" in item ? (
                <Room key={item.key} px={item.px} />
              ) : (
                <BigRow
                  key={item.index}
                  index={item.index}
                  row={rowAt(item.index)}
                  columns={columns as BigColumn<unknown>[]}
                  measure={grows ? virtual.measureElement : undefined}
                  isOpened={isOpenedAt(rowAt(item.index), isOpened)}
                  onOpen={onOpen as ((row: unknown) => void) | undefined}
                />
              ),
            )}
          </tbody>
        </table>
      </section>
      <p id={hint} hidden>
        Arrow keys walk from cell to cell, Page Up and Page Down by a screenful, Home and End to the first and the last
        row. Enter opens what is in the cell.
      </p>
    </>
  );
}

const HEAD_PX = 40;
const WIDGETS = ":is(a, button, input, select):not(:disabled)";

/** Whether the key is for what has the focus: a text, or a choice that is gone through up and down. */
function isTyping(target: EventTarget, key: string): boolean {
  if (target instanceof HTMLSelectElement) return !["ArrowLeft", "ArrowRight"].includes(key);
  if (target instanceof HTMLInputElement) return target.type !== "checkbox";
  return target instanceof HTMLTextAreaElement;
}
const isCell = (target: EventTarget): target is HTMLElement =>
  target instanceof HTMLElement && (target.tagName === "TD" || target.tagName === "TH");

function isOpenedAt<Row>(row: Row | undefined, isOpened?: (row: Row) => boolean): boolean {
  return row !== undefined && isOpened?.(row) === true;
}

/** The cell in which an element stands. */
function spotOf(element: Element): Spot | null {
  const cell = element.closest("td, th");
  const row = Number(cell?.parentElement?.dataset.index ?? Number.NaN);
  return cell instanceof HTMLTableCellElement && !Number.isNaN(row) ? { row, column: cell.cellIndex } : null;
}

/** Another filter is another list, and begins at its beginning. */
function useNewList(of: string, begin: () => void) {
  const shown = useRef(of);
  useLayoutEffect(() => {
    if (shown.current === of) return;
    shown.current = of;
    begin();
  });
}

/**
 * Tab enters the table at one cell, goes through what can be done in it, and leaves the table then, however many links
 * are in the others. Set `current` of what it gives to have the focus follow to `at`.
 */
function useOneTabStop(frame: { current: HTMLElement | null }, at: Spot) {
  const focusWanted = useRef(false);
  useLayoutEffect(() => {
    const body = frame.current?.querySelector("tbody");
    const cell = body?.querySelector(`tr[data-index="${at.row}"]`)?.children[at.column];
    const inCell = [...(cell?.querySelectorAll<HTMLElement>(WIDGETS) ?? [])];
    const stops = inCell.length > 0 || !cell ? inCell : [cell as HTMLElement];
    for (const other of body?.querySelectorAll<HTMLElement>(`${WIDGETS}, [tabindex="0"]`) ?? []) {
      if (!stops.includes(other)) other.tabIndex = -1;
    }
    for (const stop of stops) stop.tabIndex = 0;
    if (stops[0] && focusWanted.current) {
      focusWanted.current = false;
      stops[0].focus({ preventScroll: true });
    }
  });
  return focusWanted;
}

/** Rows with the room of those between them that are not drawn, so that the scroll bar tells the truth. */
function withRoom(items: VirtualItem[], size: number): (VirtualItem | { key: string; px: number })[] {
  const all: (VirtualItem | { key: string; px: number })[] = [];
  let end = 0;
  for (const item of items) {
    if (item.start > end) all.push({ key: `before ${item.index}`, px: item.start - end });
    all.push(item);
    end = item.end;
  }
  if (size > end) all.push({ key: "after", px: size - end });
  return all;
}

function Room({ px }: { px: number }) {
  return (
    <tr className="dr-room">
      <td style={{ height: px }} />
    </tr>
  );
}

const BigRow = memo(function BigRow({
  index,
  row,
  columns,
  measure,
  isOpened,
  onOpen,
}: {
  index: number;
  row: unknown;
  columns: BigColumn<unknown>[];
  measure?: (element: HTMLElement | null) => void;
  isOpened: boolean;
  onOpen?: (row: unknown) => void;
}) {
  // Anywhere in the row, for the mouse; what can be clicked by itself does what it does.
  const open = (event: MouseEvent<HTMLElement>) => {
    if (row !== undefined && !(event.target as Element).closest(WIDGETS)) onOpen?.(row);
  };
  return (
    <tr
      ref={measure}
      data-index={index}
      aria-rowindex={index + 2}
      aria-selected={onOpen ? isOpened : undefined}
      className={onOpen ? "dr-opens" : undefined}
      onClick={onOpen && open}
    >
      {columns.map((column, n) =>
        n === 0 ? (
          <th key={column.title} scope="row">
            {row === undefined ? <span className="dr-quiet">Reading…</span> : column.cell(row)}
          </th>
        ) : (
          <td key={column.title}>{row === undefined ? null : column.cell(row)}</td>
        ),
      )}
    </tr>
  );
});

function RowsMissing({ error, onAgain }: { error: Error | null; onAgain: () => void }) {
  return (
    <Alert
      variant="warning"
      isInline
      component="h2"
      title="Some rows could not be read"
      actionLinks={
        <Button variant="link" isInline onClick={onAgain}>
          Try again
        </Button>
      }
    >
      {error instanceof Problem ? error.detail : String(error)}
    </Alert>
  );
}
