import type { Recopy } from "../api/types";
import { copiedWords, leftWords, rateWords } from "../lib/copied";
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
