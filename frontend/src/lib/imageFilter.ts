/** Where the images that fit a filter can be had as a file. */
export function imageTableAddress(pairId: number, filter: { verdict: string; q: string }): string {
  const asked = new URLSearchParams();
  if (filter.verdict) asked.set("verdict", filter.verdict);
  if (filter.q) asked.set("q", filter.q);
  const query = asked.toString();
  return `/api/v1/pairs/${pairId}/images.csv${query && `?${query}`}`;
}
