import type { Recopy } from "../api/types";
import { spanWords } from "./time";
import { sizeWords } from "./words";

/** How far a copy is that is made anew, in words. What is not known is said to be unknown. */
export function copiedWords(one: Pick<Recopy, "total_bytes" | "copied_bytes">): string {
  const copied = one.copied_bytes === null ? "unknown" : `some ${sizeWords(one.copied_bytes)}`;
  return `Copied: ${copied} of ${sizeWords(one.total_bytes)}`;
}

export const rateWords = (rate: number | null) => (rate === null ? "rate unknown" : `some ${sizeWords(rate)}/s`);
export const leftWords = (left_s: number | null) =>
  left_s === null ? "time left unknown" : `some ${spanWords(left_s)} left`;
