/** What of an address is a view: the filter, not what happens to be open. */
export function viewOf(params: URLSearchParams, fields: readonly string[]): string {
  const kept = fields.map((field) => [field, params.get(field) ?? ""]).filter(([, value]) => value !== "");
  return new URLSearchParams(kept as [string, string][]).toString();
}
