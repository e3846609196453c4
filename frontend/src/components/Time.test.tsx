// @vitest-environment jsdom
import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Age, Elapsed } from "./Time";

const NOW = Date.parse("2026-11-23T04:00:00Z");

beforeEach(() => void vi.useFakeTimers({ now: NOW }));
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

describe("an age", () => {
  it("ticks and turns into stale, in words", () => {
    render(<Age at="2026-11-23T03:59:48Z" stale_after_s={15} />);
    expect(screen.getByText("12 s ago")).toBeDefined();
    act(() => vi.advanceTimersByTime(3000));
    expect(screen.getByText("15 s ago")).toBeDefined();
    act(() => vi.advanceTimersByTime(1000));
    expect(screen.getByText(/stale, 16 s ago/)).toBeDefined();
  });

  it("shows local time and UTC on hover", () => {
    render(<Age at="2026-11-23T03:59:48Z" />);
    expect(screen.getByText("12 s ago").getAttribute("title")).toContain("2026-11-23 03:59:48 UTC");
  });

  it("of something that was never read is never", () => {
    render(<Age at={null} stale_after_s={15} />);
    expect(screen.getByText("never")).toBeDefined();
  });

  it("that cannot be read is stale", () => {
    render(<Age at="soon" stale_after_s={15} />);
    expect(screen.getByText(/stale/)).toBeDefined();
  });
});

describe("elapsed time", () => {
  it("runs while there is no end and stands still after it", () => {
    render(<Elapsed start="2026-11-23T03:59:00Z" />);
    act(() => vi.advanceTimersByTime(5000));
    expect(screen.getByText("1:05")).toBeDefined();
    cleanup();
    render(<Elapsed start="2026-11-23T03:59:00Z" end="2026-11-23T03:59:30Z" />);
    act(() => vi.advanceTimersByTime(5000));
    expect(screen.getByText("0:30")).toBeDefined();
  });
});
