export type Quarter = { year: number; quarter: number };

/** The quarter that a moment is in. UTC, as the portal counts. */
export function quarterOf(at_ms: number): Quarter {
  const at = new Date(at_ms);
  return { year: at.getUTCFullYear(), quarter: Math.floor(at.getUTCMonth() / 3) + 1 };
}

/** This one and those before it, the newest first. */
export function lastQuarters(at_ms: number, count: number): Quarter[] {
  const now = quarterOf(at_ms);
  const number = now.year * 4 + now.quarter - 1;
  return Array.from({ length: count }, (_, n) => ({
    year: Math.floor((number - n) / 4),
    quarter: ((number - n) % 4) + 1,
  }));
}

export const quarterWord = ({ year, quarter }: Quarter) => `${year} Q${quarter}`;

/** "2026 Q4" back again; null for anything else. */
export function quarterFrom(word: string): Quarter | null {
  const found = /^(\d{4}) Q([1-4])$/.exec(word);
  return found ? { year: Number(found[1]), quarter: Number(found[2]) } : null;
}
