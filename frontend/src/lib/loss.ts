import type { ImageEvidence } from "../api/types";
import { count, upWords } from "./words";

/** The one line that somebody who decides at night looks for first; the table has it per image. */
export function worstLoss(images: ImageEvidence[]): string {
  const open = images.filter((image) => !image.primary_here);
  const told = open.filter((image) => image.loss_s != null);
  const untold = open.length - told.length;
  const worst = told.reduce((most, image) => Math.max(most, image.loss_s ?? 0), 0);
  if (open.length === 0) return "Nothing more is lost: every copy is primary already.";
  if (told.length === 0) return "What would be lost cannot be told for any image.";
  const at = told.find((image) => image.loss_s === worst)?.name;
  const rest = untold === 0 ? "" : ` For ${count(untold, "image")} it cannot be told.`;
  return `Would be lost, at most: the last ${upWords(worst)} of writes before contact was lost (${at}).${rest}`;
}
