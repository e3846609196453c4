import { describe, expect, it } from "vitest";
import { copiedWords, leftWords, rateWords } from "./copied";

const GIB = 2 ** 30;

describe("how far a copy is", () => {
  it("says bytes of total, rate and time left where they are known", () => {
    expect(copiedWords({ copied_bytes: GIB / 2, total_bytes: GIB })).toBe("Copied: some 512 MiB of 1 GiB");
    expect(rateWords(25 * 2 ** 20)).toBe("some 25 MiB/s");
    expect(leftWords(600)).toBe("some 10 min left");
  });

  it("says that it does not know what it does not know", () => {
    expect(copiedWords({ copied_bytes: null, total_bytes: null })).toBe("Copied: unknown of unknown");
    expect([rateWords(null), leftWords(null)]).toEqual(["rate unknown", "time left unknown"]);
    expect(copiedWords({ copied_bytes: 0, total_bytes: GIB })).toBe("Copied: some 0 B of 1 GiB");
  });
});
