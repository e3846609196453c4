import type { Cell, Cells, Run, RunImage, RunVm } from "../../api/types";
import { cellWord, type Tone } from "../../lib/words";

/** The checklist as rows: a VM, and under it its images unless it is folded. */

export type Row = { type: "vm"; vm: RunVm; open: boolean } | { type: "image"; vm: RunVm; image: RunImage };

/** States that want a person's eye. (A gate that is not met yet is what a run waits for, not trouble.) */
const TROUBLE = new Set(["failed", "unknown", "cannot_tell"]);

const isTrouble = (cells: Cells) => Object.values(cells).some((cell) => TROUBLE.has(cell.state));

export const inTrouble = (vm: RunVm) => isTrouble(vm.cells) || vm.images.some((image) => isTrouble(image.cells));

/** Up to this many images everything is open; above it only VMs in trouble are, until somebody opens one. */
export const OPEN_UP_TO = 40;

export function imageCount(run: Run): number {
  return run.vms.reduce((sum, vm) => sum + vm.images.length, 0);
}

/** `chosen`: what a person opened or folded; it wins over what would be open by itself. */
export function rowsOf(run: Run, chosen: ReadonlyMap<string, boolean>, onlyTrouble: boolean): Row[] {
  const openAll = imageCount(run) <= OPEN_UP_TO;
  const rows: Row[] = [];
  for (const vm of run.vms) {
    const trouble = inTrouble(vm);
    if (onlyTrouble && !trouble) continue;
    const open = chosen.get(vm.name) ?? (openAll || trouble);
    rows.push({ type: "vm", vm, open });
    if (open) for (const image of vm.images) rows.push({ type: "image", vm, image });
  }
  return rows;
}

const WORST_FIRST: Tone[] = ["bad", "unsure", "warn", "busy", "idle", "good"];

export type Folded = { words: string; tone: Tone; step_id: number | null };

/** What a folded VM shows in an image column: "12 done · 2 waiting", in the tone of the worst. */
export function foldCells(images: RunImage[], column: string): Folded | null {
  const cells = images.map((image) => image.cells[column]).filter((cell): cell is Cell => cell !== undefined);
  if (cells.length === 0) return null;
  const counts = new Map<string, number>();
  let worst: Cell = cells[0] as Cell;
  for (const cell of cells) {
    const word = cell.word.replace(/ \d+ %$/, "");
    counts.set(word, (counts.get(word) ?? 0) + 1);
    if (rank(cell) < rank(worst)) worst = cell;
  }
  const words =
    counts.size === 1 && cells.length === 1
      ? worst.word
      : [...counts].map(([word, n]) => `${n} ${word.toLowerCase()}`).join(" · ");
  return { words, tone: cellTone(worst), step_id: worst.step_id };
}

const rank = (cell: Cell) => WORST_FIRST.indexOf(cellTone(cell));

/** In a run a gate that is not met is being waited for; when waiting is over, its step fails, and that is red. */
export function cellTone(cell: Cell): Tone {
  return cell.state === "not_met" ? "warn" : cellWord(cell.state).tone;
}
