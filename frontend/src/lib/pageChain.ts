/**
 * Which pages of a long list are to be read. A page is asked for by the place behind which it begins, and only the page
 * before it tells that place: so the places are learned one after the other, and kept.
 */

export const PAGE_ROWS = 100;

/** `cursors[n]`: behind what page n begins. `of`: the list they belong to. */
export type Chain = { of: string; cursors: string[] };

export const newChain = (of: string): Chain => ({ of, cursors: [""] });

/** The pages with rows `first` to `last`, as far as their places are known; else also the one that leads on to them. */
export function pagesToRead(first: number, last: number, known: number): number[] {
  const pages: number[] = [];
  for (let n = Math.floor(first / PAGE_ROWS); n <= Math.floor(last / PAGE_ROWS) && n < known; n++) pages.push(n);
  return pages.length > 0 ? pages : [known - 1];
}

/** Whether rows up to `last` lie behind pages that nothing is known of: walking there would take many questions. */
export const isFarAway = (last: number, known: number): boolean => Math.floor(last / PAGE_ROWS) > known;

/** With what page `n` says of the next one. If that is news, what was known of the pages behind it is not true any more. */
export function learned(chain: Chain, n: number, next: string | null | undefined): Chain {
  if (next === undefined || n >= chain.cursors.length || chain.cursors[n + 1] === (next ?? undefined)) return chain;
  const cursors = chain.cursors.slice(0, n + 1);
  return { of: chain.of, cursors: next === null ? cursors : [...cursors, next] };
}
