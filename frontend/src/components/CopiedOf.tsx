import type { Recopy } from "../api/types";
import { spanWords } from "../lib/time";
import { sizeWords } from "../lib/words";
import { Age } from "./Time";

type Figures = Pick<Recopy, "total_bytes" | "copied_bytes" | "bytes_per_second" | "eta_s" | "told_at" | "sentence">;

/** Bytes of a copy that is made anew, its rate, the time left, and how old these figures are. */
export function CopiedOf({ one }: { one: Figures }) {
  return (
    <>
      {one.sentence} {copiedWords(one)}, {rateWords(one.bytes_per_second)}, {leftWords(one.eta_s)}
      {one.told_at === null ? "." : " (told "}
      {one.told_at !== null && <Age at={one.told_at} stale_after_s={75} />}
      {one.told_at !== null && ")."}
    </>
  );
}

export function copiedWords(one: Pick<Recopy, "total_bytes" | "copied_bytes">): string {
  const copied = one.copied_bytes === null ? "unknown" : `some ${sizeWords(one.copied_bytes)}`;
  return `Copied: ${copied} of ${sizeWords(one.total_bytes)}`;
}

export const rateWords = (rate: number | null) => (rate === null ? "rate unknown" : `some ${sizeWords(rate)}/s`);
export const leftWords = (left_s: number | null) =>
  left_s === null ? "time left unknown" : `some ${spanWords(left_s)} left`;
