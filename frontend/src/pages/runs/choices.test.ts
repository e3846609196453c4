import { describe, expect, it } from "vitest";
import type { Console, ConsoleVm } from "../../api/types";
import { chosenAtFirst, offers } from "./choices";

const vm = (key: string, priority: number, part: ConsoleVm["part"]): ConsoleVm => ({
  key,
  name: `vm-${key}`,
  priority,
  part,
  trouble: "",
});

const CONSOLE: Console = { vms: [vm("1", 1, "failed"), vm("2", 2, "waiting")], done: 3, priorities: [1] };

const offer = (choice: string, console: Console, chosen: string[], upTo: number | null = 1) =>
  offers(console, new Set(chosen), upTo).find((each) => each.choice === choice);

describe("choices for a run at rest", () => {
  it("begin with what is in trouble, and with all where nothing is", () => {
    expect([...chosenAtFirst(CONSOLE.vms)]).toEqual(["1"]);
    expect([...chosenAtFirst([vm("1", 1, "waiting"), vm("2", 2, "waiting")])]).toEqual(["1", "2"]);
  });

  it("name what they are about", () => {
    expect(offer("retry", CONSOLE, ["1"])?.button).toBe("Retry vm-1");
    expect(offer("hold", CONSOLE, ["1", "2"])?.button).toBe("Hold these 2 VMs");
    expect(offer("critical", CONSOLE, [])?.wanted).toEqual({ choice: "critical", vms: [], up_to: 1 });
  });

  it("say why they cannot be made", () => {
    expect(offer("retry", CONSOLE, [])?.whyNot).toMatch(/at least one/);
    expect(offer("retry", CONSOLE, ["9"])?.whyNot).toMatch(/at least one/); // done meanwhile
    expect(offer("hold", { ...CONSOLE, vms: [vm("1", 1, "on_hold")] }, ["1"])?.whyNot).toMatch(/already/);
    expect(offer("critical", { ...CONSOLE, priorities: [] }, ["1"])?.whyNot).toMatch(/one priority/);
    expect(offer("stop", CONSOLE, [])?.whyNot).toBe("");
  });
});
