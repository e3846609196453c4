/** Walking through a table of cells by keyboard. */

export type Spot = { row: number; column: number };

/** Where a key leads, or null where it is not for walking. `screen`: rows that are in sight at a time. */
export function walked(at: Spot, key: string, size: { rows: number; columns: number; screen: number }): Spot | null {
  const row = (n: number): Spot => ({ ...at, row: Math.max(0, Math.min(size.rows - 1, n)) });
  const column = (n: number): Spot => ({ ...at, column: Math.max(0, Math.min(size.columns - 1, n)) });
  switch (key) {
    case "ArrowUp":
      return row(at.row - 1);
    case "ArrowDown":
      return row(at.row + 1);
    case "PageUp":
      return row(at.row - size.screen);
    case "PageDown":
      return row(at.row + size.screen);
    case "Home":
      return row(0);
    case "End":
      return row(size.rows - 1);
    case "ArrowLeft":
      return column(at.column - 1);
    case "ArrowRight":
      return column(at.column + 1);
    default:
      return null;
  }
}
