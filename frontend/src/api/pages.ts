import { keepPreviousData, type UseQueryResult, useQueries, useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { type Chain, isFarAway, learned, newChain, PAGE_ROWS, pagesToRead } from "../lib/pageChain";

/** A page of a list of `total` rows; `next` leads to the one after it. */
export type Page<Row> = { items: Row[]; next: string | null; total: number };

type Read<T> = { queryKey: readonly unknown[]; queryFn: () => Promise<T> };

/**
 * How a page is read, given the place behind which it begins. `places`: where the list can tell them all at once, so
 * that rows far down need not be walked to page by page.
 */
export type PagesOf<P> = ((cursor: string) => Read<P>) & { places?: Read<string[]> };

const NO_PLACES: Read<string[]> = { queryKey: ["no places"], queryFn: async () => [] };

/** The first page, read again and again: how many there are stands in it. While a new filter is read, the old stays. */
export function useFirstPage<P>(pages: PagesOf<P>, interval_ms: number): UseQueryResult<P, Error> {
  return useQuery({ ...pages(""), placeholderData: keepPreviousData, refetchInterval: interval_ms });
}

/**
 * The rows `from` to `to` of a list whose first page is at hand (`isOld`: still that of another filter). Only the pages
 * that are in sight are read again with a hint or as time goes by; the others are kept as they were, and read again
 * when they come into sight.
 */
export function useRows<Row, P extends Page<Row>>(
  pages: PagesOf<P>,
  { first, isOld, from, to, interval_ms }: { first: P; isOld: boolean; from: number; to: number; interval_ms: number },
): { rowAt: (index: number) => Row | undefined; trouble: UseQueryResult<P, Error> | undefined } {
  const of = JSON.stringify(pages("").queryKey);
  const [kept, setKept] = useState<Chain>(() => newChain(of));
  const chain = learned(kept.of === of ? kept : newChain(of), 0, isOld ? undefined : first.next);
  const numbers = pagesToRead(from, to, chain.cursors.length).filter((n) => n > 0);
  const read = useQueries({
    queries: numbers.map((n) => ({ ...pages(chain.cursors[n] as string), refetchInterval: interval_ms })),
  }) as UseQueryResult<P, Error>[];
  const places = useQuery({
    ...(pages.places ?? NO_PLACES),
    enabled: pages.places !== undefined && !isOld && isFarAway(to, chain.cursors.length),
    staleTime: 0,
    gcTime: 0,
  });
  const used = useRef(0);
  useEffect(() => {
    const isNews = places.data !== undefined && places.dataUpdatedAt > used.current;
    if (isNews) used.current = places.dataUpdatedAt;
    const begun = isNews ? { of, cursors: ["", ...(places.data ?? [])] } : chain;
    const now = numbers.reduce((known, n, i) => learned(known, n, read[i]?.data?.next), begun);
    if (now !== kept) setKept(now);
  });
  const rowAt = (index: number) => {
    const n = Math.floor(index / PAGE_ROWS);
    const page = n === 0 ? first : read[numbers.indexOf(n)]?.data;
    return page?.items[index % PAGE_ROWS];
  };
  return { rowAt, trouble: read.find((page) => page.error) };
}
