import { expect, it } from "vitest";
import { walked } from "./gridKeys";

const size = { rows: 1000, columns: 4, screen: 20 };

it("walks by a cell, by a screenful, and to both ends", () => {
  const at = { row: 30, column: 2 };
  expect(walked(at, "ArrowUp", size)).toEqual({ row: 29, column: 2 });
  expect(walked(at, "ArrowDown", size)).toEqual({ row: 31, column: 2 });
  expect(walked(at, "ArrowLeft", size)).toEqual({ row: 30, column: 1 });
  expect(walked(at, "ArrowRight", size)).toEqual({ row: 30, column: 3 });
  expect(walked(at, "PageDown", size)).toEqual({ row: 50, column: 2 });
  expect(walked(at, "PageUp", size)).toEqual({ row: 10, column: 2 });
  expect(walked(at, "End", size)).toEqual({ row: 999, column: 2 });
  expect(walked(at, "Home", size)).toEqual({ row: 0, column: 2 });
});

it("stays within the table, and leaves other keys alone", () => {
  expect(walked({ row: 5, column: 0 }, "PageUp", size)).toEqual({ row: 0, column: 0 });
  expect(walked({ row: 990, column: 3 }, "PageDown", size)).toEqual({ row: 999, column: 3 });
  expect(walked({ row: 0, column: 0 }, "ArrowLeft", size)).toEqual({ row: 0, column: 0 });
  expect(walked({ row: 999, column: 3 }, "ArrowRight", size)).toEqual({ row: 999, column: 3 });
  for (const key of ["Tab", "Enter", "a", "Escape"]) expect(walked({ row: 0, column: 0 }, key, size)).toBeNull();
});
