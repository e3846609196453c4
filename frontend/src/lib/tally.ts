import type { GateView, ReadinessImage } from "../api/types";

/** Folding many images into "186 met · 12 not met · 2 cannot tell", blockers first. */

export type Tally = { met: number; not_met: number; cannot_tell: number };

export function tallyOf(outcomes: Iterable<string>): Tally {
  const tally: Tally = { met: 0, not_met: 0, cannot_tell: 0 };
  for (const outcome of outcomes) {
    // Whatever is not a clear word counts as cannot tell: never as met.
    if (outcome === "met") tally.met += 1;
    else if (outcome === "not_met") tally.not_met += 1;
    else tally.cannot_tell += 1;
  }
  return tally;
}

export function tallyWords(tally: Partial<Tally>): string {
  return `${tally.met ?? 0} met · ${tally.not_met ?? 0} not met · ${tally.cannot_tell ?? 0} cannot tell`;
}

/** The outcome of several gates together: not met beats cannot tell beats met; none at all is cannot tell. */
export function worstOf(gates: { outcome: string }[]): string {
  if (gates.length === 0) return "cannot_tell";
  if (gates.some((gate) => gate.outcome === "not_met")) return "not_met";
  return gates.every((gate) => gate.outcome === "met") ? "met" : "cannot_tell";
}

export type Judged = { image: ReadinessImage; outcome: string; because: GateView | undefined };

const ORDER = ["not_met", "cannot_tell", "met"];

/** Images with the worst of their gates, the ones that block first; within that in the order they came. */
export function blockersFirst(images: ReadinessImage[]): Judged[] {
  return images
    .map((image) => {
      const outcome = worstOf(image.gates);
      return { image, outcome, because: image.gates.find((gate) => gate.outcome === outcome) };
    })
    .sort((a, b) => ORDER.indexOf(a.outcome) - ORDER.indexOf(b.outcome));
}

/** How far a run is: finished steps of all steps. */
export function progressOf(counts: Record<string, number>): { done: number; total: number; percent: number } {
  let total = 0;
  for (const n of Object.values(counts)) total += n;
  const done = (counts.succeeded ?? 0) + (counts.done ?? 0) + (counts.skipped ?? 0);
  return { done, total, percent: total === 0 ? 0 : Math.floor((100 * done) / total) };
}

export function countsWords(counts: Record<string, number>, word: (code: string) => string): string {
  return Object.entries(counts)
    .filter(([, n]) => n > 0)
    .map(([state, n]) => `${n} ${word(state).toLowerCase()}`)
    .join(" · ");
}
