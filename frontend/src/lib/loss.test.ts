import { describe, expect, it } from "vitest";
import type { ImageEvidence } from "../api/types";
import { worstLoss } from "./loss";

const image = (name: string, loss_s: number | null, primary_here = false) =>
  ({ name, loss_s, primary_here }) as ImageEvidence;

describe("the loss in one line", () => {
  it("is that of the worst image, and counts those of which nothing can be told", () => {
    const said = worstLoss([image("one/a", 3), image("one/b", 12), image("one/c", null)]);
    expect(said).toContain("the last 12 s of writes before contact was lost (one/b)");
    expect(said).toContain("For 1 image it cannot be told.");
  });

  it("never calls it nothing where it is not known", () => {
    expect(worstLoss([image("one/a", null)])).toBe("What would be lost cannot be told for any image.");
    expect(worstLoss([image("one/a", null, true)])).toContain("every copy is primary already");
  });
});
