export type LookedFor = { what: string; host: string; port: number };

/** One address a line: `HOST:PORT NAME`. The first line that is none is named. */
export function lookedForOf(text: string): { found: LookedFor[]; wrong: string } {
  const found: LookedFor[] = [];
  for (const line of text.split("\n").map((each) => each.trim())) {
    if (line === "") continue;
    const match = /^(\[[0-9A-Fa-f:.]+\]|[^\s[\]]+):(\d{1,5})\s+(.+)$/.exec(line);
    if (!match) return { found, wrong: `“${line}” is not HOST:PORT NAME.` };
    const [, host = "", port = "", what = ""] = match;
    found.push({ what, host: host.replace(/^\[|\]$/g, ""), port: Number(port) });
  }
  return { found, wrong: "" };
}

export function lookedForText(all: LookedFor[]): string {
  return all.map(({ host, port, what }) => `${host.includes(":") ? `[${host}]` : host}:${port} ${what}`).join("\n");
}
