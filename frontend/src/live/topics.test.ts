import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { keysOf, Refetcher } from "./topics";

describe("topics", () => {
  it("name the reads that they make old", () => {
    expect(keysOf("run:12")).toEqual([["run", 12]]);
    expect(keysOf("plan:3")).toEqual([["plan", 3]]);
    expect(keysOf("runs")).toContainEqual(["overview"]);
    expect(keysOf("sites")).toContainEqual(["sites"]);
    expect(keysOf("pair:1")).toEqual([["pair"]]);
    expect(keysOf("weather")).toEqual([]);
  });
});

describe("the refetcher", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function slowClient() {
    const client = new QueryClient();
    const ends: (() => void)[] = [];
    const invalidate = vi
      .spyOn(client, "invalidateQueries")
      .mockImplementation(() => new Promise<void>((resolve) => ends.push(resolve)));
    return { client, ends, invalidate };
  }

  it("turns a flood of hints into one refetch and one more", async () => {
    const { client, ends, invalidate } = slowClient();
    const refetcher = new Refetcher(client, 100);
    for (let n = 0; n < 50; n += 1) refetcher.hint("run:1");
    expect(invalidate).toHaveBeenCalledTimes(1);
    ends[0]?.();
    await vi.advanceTimersByTimeAsync(100);
    expect(invalidate).toHaveBeenCalledTimes(2);
    ends[1]?.();
    await vi.advanceTimersByTimeAsync(1000);
    expect(invalidate).toHaveBeenCalledTimes(2);
  });

  it("never loses the last hint", async () => {
    const { client, ends, invalidate } = slowClient();
    const refetcher = new Refetcher(client, 100);
    refetcher.hint("run:1");
    ends[0]?.();
    await vi.advanceTimersByTimeAsync(50);
    refetcher.hint("run:1");
    await vi.advanceTimersByTimeAsync(50);
    expect(invalidate).toHaveBeenCalledTimes(2);
  });

  it("lets one slow topic not hold up another", () => {
    const { client, invalidate } = slowClient();
    const refetcher = new Refetcher(client, 100);
    refetcher.hint("run:1");
    refetcher.hint("run:2");
    expect(invalidate).toHaveBeenCalledTimes(2);
  });

  it("goes on after a refetch that failed", async () => {
    const client = new QueryClient();
    const invalidate = vi.spyOn(client, "invalidateQueries").mockRejectedValue(new Error("gone"));
    const refetcher = new Refetcher(client, 100);
    refetcher.hint("run:1");
    await vi.advanceTimersByTimeAsync(200);
    refetcher.hint("run:1");
    expect(invalidate).toHaveBeenCalledTimes(2);
  });
});
