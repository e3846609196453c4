/** Filters of a table that a person gave a name. They are kept in this browser, for each person of their own. */

export type View = { name: string; search: string };

const keyOf = (person: string, table: string) => `drportal.views.${person}.${table}`;

const isView = (one: unknown): one is View =>
  typeof one === "object" &&
  one !== null &&
  "name" in one &&
  "search" in one &&
  typeof one.name === "string" &&
  typeof one.search === "string";

export function savedViews(person: string, table: string): View[] {
  try {
    const kept: unknown = JSON.parse(window.localStorage.getItem(keyOf(person, table)) ?? "[]");
    return Array.isArray(kept) ? kept.filter(isView) : [];
  } catch {
    return [];
  }
}

/** False where the browser keeps nothing. */
export function keepViews(person: string, table: string, views: View[]): boolean {
  try {
    window.localStorage.setItem(keyOf(person, table), JSON.stringify(views));
    return true;
  } catch {
    return false;
  }
}

/** With the new one, instead of one of the same name; by name. */
export function withView(views: View[], added: View): View[] {
  return [...views.filter((one) => one.name !== added.name), added].sort((a, b) => a.name.localeCompare(b.name));
}

/** What of an address is the view: the filter, not what happens to be open. */
export function viewOf(params: URLSearchParams, fields: readonly string[]): string {
  const kept = fields.map((field) => [field, params.get(field) ?? ""]).filter(([, value]) => value !== "");
  return new URLSearchParams(kept as [string, string][]).toString();
}
