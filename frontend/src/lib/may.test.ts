import { expect, test } from "vitest";
import type { Person } from "../api/types";
import { type At, mayAt } from "./may";

const right = (permission: "run" | "view", far: Partial<Person["rights"][number]>) => ({
  permission,
  everywhere: false,
  pairs: [],
  plans: [],
  ...far,
});

const OF_A_PLAN = { rights: [right("run", { plans: [7] })] };
const AT_A_PAIR = { rights: [right("run", { pairs: [3], plans: [7, 8] })] };
const EVERYWHERE = { rights: [right("run", { everywhere: true })] };
const NOWHERE = { rights: [right("run", {})] };

test.each<[At, boolean, boolean, boolean]>([
  [{ plan: 7 }, true, true, true],
  [{ plan: 9 }, false, false, true],
  [{ pair: 3 }, false, true, true],
  [{ pair: 4 }, false, false, true],
  [{ pairs: [3] }, false, true, true],
  [{ pairs: [3, 4] }, false, false, true],
  [{ pairs: [] }, false, false, true],
  ["somePair", false, true, true],
  ["everywhere", false, false, true],
  ["anywhere", true, true, true],
])("at %j: who may for a plan %s, at a pair %s, everywhere %s", (at, plan, pair, everywhere) => {
  expect(mayAt(OF_A_PLAN, "run", at)).toBe(plan);
  expect(mayAt(AT_A_PAIR, "run", at)).toBe(pair);
  expect(mayAt(EVERYWHERE, "run", at)).toBe(everywhere);
  expect(mayAt(NOWHERE, "run", at)).toBe(false);
  expect(mayAt(EVERYWHERE, "view", at)).toBe(false);
});
