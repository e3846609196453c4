import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { overviewQuery } from "../api/queries";
import type { Overview } from "../api/types";

const NONE: Record<string, string> = {};
const namesOf = (overview: Overview): Record<string, string> =>
  Object.fromEntries(overview.sites.map(({ slug, name }) => [slug, name]));

/**
 * What people call a site, by its slug, which is what the API goes by. The strip above each page has read the names;
 * until it has, and where the site is not seen (any more), it is the slug.
 */
export function useSiteName(): (slug: string) => string {
  const query = useQuery({ ...overviewQuery, select: namesOf, staleTime: Number.POSITIVE_INFINITY });
  const names = query.data ?? NONE;
  return useCallback((slug: string) => names[slug] ?? slug, [names]);
}

/** A run, a request, a preview: with the names of its two sites in place of their slugs. */
export function useSitesNamed<T extends { source_site: string; target_site: string }>(of: T): T {
  const name = useSiteName();
  return useMemo(() => ({ ...of, source_site: name(of.source_site), target_site: name(of.target_site) }), [of, name]);
}
