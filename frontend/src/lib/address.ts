import { useCallback } from "react";
import { useSearchParams } from "react-router";

/** The address after the question mark, and how to change fields of it; an empty one is taken out. */
export function useAddress(): [
  URLSearchParams,
  (changes: Record<string, string>, options?: { replace: boolean }) => void,
] {
  const [params, setParams] = useSearchParams();
  const put = useCallback(
    (changes: Record<string, string>, options?: { replace: boolean }) =>
      setParams((was) => {
        const now = new URLSearchParams(was);
        for (const [name, value] of Object.entries(changes)) {
          if (value) now.set(name, value);
          else now.delete(name);
        }
        return now;
      }, options),
    [setParams],
  );
  return [params, put];
}

/** Where all rows that fit a filter can be had as a file. */
export function tableAddress(path: string, filter: Record<string, string>): string {
  const asked = new URLSearchParams(Object.entries(filter).filter(([, value]) => value !== "")).toString();
  return `/api/v1${path}.csv${asked && `?${asked}`}`;
}

// Pages whose address lies below one place of the navigation and whose own place is another.
const ELSEWHERE: [RegExp, string][] = [[/^\/runs\/[^/]+\/review$/, "/reviews"]];

/** Whether the page at this address belongs to that place of the navigation. */
export function isUnder(pathname: string, place: string): boolean {
  const other = ELSEWHERE.find(([address]) => address.test(pathname));
  if (other) return other[1] === place;
  return place === "/" ? pathname === "/" : pathname === place || pathname.startsWith(`${place}/`);
}
