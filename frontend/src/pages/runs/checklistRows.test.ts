import { describe, expect, it } from "vitest";
import type { Cell, Run, RunVm } from "../../api/types";
import { cellTone, foldCells, imageCount, inTrouble, OPEN_UP_TO, rowsOf } from "./checklistRows";

const cell = (state: string, step_id = 1): Cell => ({
  step_id,
  gate: null,
  state,
  word: state === "done" ? "Done" : state,
  sentence: "",
  at: null,
  destructive: false,
});
const vm = (name: string, ...states: string[]): RunVm => ({
  name,
  priority: 3,
  cells: { "vm.start": cell("pending") },
  images: states.map((state, n) => ({ image_id: n, name: `${name}-${n}`, cells: { "image.demote": cell(state, n) } })),
});
const run = (...vms: RunVm[]) => ({ vms }) as Run;
const many = run(...Array.from({ length: OPEN_UP_TO + 1 }, (_, n) => vm(`vm-${n}`, n === 7 ? "failed" : "done")));
const names = (rows: ReturnType<typeof rowsOf>) =>
  rows.map((row) => (row.type === "vm" ? row.vm.name : `  ${row.image.name}`));

describe("the checklist", () => {
  it("shows every image of a small run", () => {
    expect(names(rowsOf(run(vm("a", "done", "running")), new Map(), false))).toEqual(["a", "  a-0", "  a-1"]);
  });

  it("folds a big run by VM, but not what is in trouble", () => {
    const rows = rowsOf(many, new Map(), false);
    expect(imageCount(many)).toBe(OPEN_UP_TO + 1);
    expect(rows).toHaveLength(OPEN_UP_TO + 2);
    expect(rows.filter((row) => row.type === "image")).toHaveLength(1);
  });

  it("lets a person open and fold as they like", () => {
    const chosen = new Map([
      ["vm-0", true],
      ["vm-7", false],
    ]);
    const rows = rowsOf(many, chosen, false);
    expect(names(rows).slice(0, 2)).toEqual(["vm-0", "  vm-0-0"]);
    expect(rows.filter((row) => row.type === "image")).toHaveLength(1);
  });

  it("can show only what needs attention", () => {
    expect(names(rowsOf(many, new Map(), true))).toEqual(["vm-7", "  vm-7-0"]);
  });

  it("takes a gate that is waited for not for trouble, and an unknown outcome for trouble", () => {
    expect(inTrouble(vm("a", "not_met", "waiting", "pending"))).toBe(false);
    expect(inTrouble(vm("a", "done", "unknown"))).toBe(true);
    expect(inTrouble(vm("a", "cannot_tell"))).toBe(true);
    expect(cellTone(cell("not_met"))).toBe("warn");
    expect(cellTone(cell("failed"))).toBe("bad");
  });

  it("folds the cells of a VM into numbers, in the tone of the worst", () => {
    const folded = foldCells(vm("a", "done", "failed", "done").images, "image.demote");
    expect(folded).toEqual({ words: "2 done · 1 failed", tone: "bad", step_id: 1 });
  });

  it("counts copies that are being made together, however far each is", () => {
    const images = vm("a", "waiting", "waiting", "done").images;
    for (const [at, image] of images.slice(0, 2).entries()) {
      const copying = image.cells["image.demote"];
      if (copying) copying.word = `Copying ${38 + at} %`;
    }
    expect(foldCells(images, "image.demote")?.words).toBe("2 copying · 1 done");
  });

  it("is green in a folded cell only when all of them are", () => {
    expect(foldCells(vm("a", "done", "done").images, "image.demote")?.tone).toBe("good");
    expect(foldCells(vm("a", "done", "skipped").images, "image.demote")?.tone).not.toBe("good");
    expect(foldCells(vm("a", "done").images, "no.such.column")).toBeNull();
  });
});
