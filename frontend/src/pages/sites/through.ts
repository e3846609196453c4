import type { SiteIn } from "../../api/types";

/** How the portal reaches a site's Ceph over SSH. */
export const THROUGH: Record<SiteIn["ceph_through"], string> = {
  program: "the site program, sent over the connection (needs Python 3 there)",
  installed: "the site program, installed there as the key's forced command",
  rbd: "the rbd client, one process for each command",
};
