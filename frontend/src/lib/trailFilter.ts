/** The filters of the trail as they stand in the address: empty means all. Times are UTC there, local in the form. */

export const FIELDS = ["since", "until", "actor", "action", "site", "run", "text"] as const;

export type TrailFields = Record<(typeof FIELDS)[number], string>;

export function fieldsOf(params: URLSearchParams): TrailFields {
  return Object.fromEntries(FIELDS.map((name) => [name, params.get(name) ?? ""])) as TrailFields;
}

/** What goes into an address or a query: without the empty ones. */
export function filled(fields: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields)
      .map(([name, value]) => [name, value.trim()])
      .filter(([, value]) => value !== ""),
  );
}

/** "2026-11-23T05:30" in the browser's zone, as an input of type datetime-local wants it; empty for no time. */
export function localInput(utc: string): string {
  const at = new Date(utc);
  if (Number.isNaN(at.getTime())) return "";
  const pad = (n: number) => String(n).padStart(2, "0");
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${day}T${pad(at.getHours())}:${pad(at.getMinutes())}`;
}

export function utcOfInput(local: string): string {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}

export function exportAddress(fields: TrailFields): string {
  const query = new URLSearchParams(filled(fields)).toString();
  return `/api/v1/audit/export${query && `?${query}`}`;
}
