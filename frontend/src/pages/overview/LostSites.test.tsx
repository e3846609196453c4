// @vitest-environment jsdom
import { cleanup, render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, describe, expect, it } from "vitest";
import type { Overview } from "../../api/types";
import { LostSites } from "./LostSites";

afterEach(cleanup);

const reach = (ok: boolean) => ({ ok, since: "2026-11-28T19:08:16Z", sentence: "" });
const site = (slug: string, reachable: boolean) => ({
  ...{ slug, name: slug.toUpperCase(), reachable, last_heard: null },
  ...{ ssh: reach(reachable), ceph: reach(reachable), opennebula: reach(reachable) },
});

function show(active: string) {
  const overview = {
    sites: [site("a", false), site("b", true)],
    groups: [{ id: 1, name: "web-shop", active_site: active }],
  } as unknown as Overview;
  render(
    <MemoryRouter>
      <LostSites overview={overview} />
    </MemoryRouter>,
  );
}

describe("a site that is not reachable", () => {
  it("leads to who sees it and to the disaster door while a group is active there", () => {
    show("a");
    expect(screen.getByRole("heading").textContent).toContain(
      "A is not reachable, and 1 group is active there: web-shop",
    );
    expect(screen.getByRole("link", { name: "who sees A" }).getAttribute("href")).toBe("/sites/a");
    expect(screen.getByRole("link", { name: "Disaster failover" }).getAttribute("href")).toBe("/disaster-failover");
  });

  it("asks for nothing where no group is active", () => {
    show("b");
    expect(screen.queryByRole("heading")).toBeNull();
  });
});
