import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { PAGE_ROWS } from "../lib/pageChain";
import type { Quarter } from "../lib/quarter";
import type { TrailFields } from "../lib/trailFilter";
import { answer, api, Problem, type QueryOf } from "./client";
import type { PagesOf } from "./pages";
import type { ChoiceIn, Gaps, Images, Vms } from "./types";

/**
 * Every read of the API. Keys begin with the word of the live topic that makes them old (see live/topics.ts).
 * `poll_s` below is used by pages through usePolling, which knows whether the page is live.
 */

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: () => answer(api.GET("/session")),
  staleTime: Number.POSITIVE_INFINITY,
});

export const viewsQuery = queryOptions({
  queryKey: ["views"],
  queryFn: () => answer(api.GET("/views")),
});

export const overviewQuery = queryOptions({
  queryKey: ["overview"],
  queryFn: () => answer(api.GET("/overview")),
});

export const sitesQuery = queryOptions({
  queryKey: ["sites"],
  queryFn: () => answer(api.GET("/sites")),
});

export const siteQuery = (slug: string) =>
  queryOptions({
    queryKey: ["sites", slug],
    queryFn: () => answer(api.GET("/sites/{slug}", { params: { path: { slug } } })),
  });

export const refusalsQuery = (slug: string) =>
  queryOptions({
    queryKey: ["sites", slug, "refusals"],
    queryFn: () => answer(api.GET("/sites/{slug}/refusals", { params: { path: { slug } } })),
  });

export const pairsQuery = queryOptions({
  queryKey: ["pair"],
  queryFn: () => answer(api.GET("/pairs")),
});

/** The hosts at a third place that look at both sites of a pair. */
export const witnessesQuery = (pair: number) =>
  queryOptions({
    queryKey: ["sites", "witnesses", pair],
    queryFn: () => answer(api.GET("/pairs/{pair_id}/witnesses", { params: { path: { pair_id: pair } } })),
  });

export type ImageFilter = { verdict: string; q: string };

export const imagePages = (pair: number, filter: ImageFilter): PagesOf<Images> => {
  const page = (cursor: string) => ({
    queryKey: ["pair", pair, "images", filter, cursor],
    queryFn: () =>
      answer(
        api.GET("/pairs/{pair_id}/images", {
          params: { path: { pair_id: pair }, query: pageOf<QueryOf<"/pairs/{pair_id}/images">>(filter, cursor) },
        }),
      ),
  });
  const places = {
    queryKey: ["places", pair, "images", filter],
    queryFn: async () => {
      const query = filled<QueryOf<"/pairs/{pair_id}/images/places">>(filter);
      return (await answer(api.GET("/pairs/{pair_id}/images/places", { params: { path: { pair_id: pair }, query } })))
        .items;
    },
  };
  return Object.assign(page, { places });
};

export const imageQuery = (id: number) =>
  queryOptions({
    queryKey: ["pair", "image", id],
    queryFn: () => answer(api.GET("/images/{image_id}", { params: { path: { image_id: id } } })),
  });

export type Period = "day" | "week" | "month";
/** Of what an exposure is: an image, a pool of a pair, or a protection group. */
export type Exposed =
  | { what: "image"; id: number }
  | { what: "pool"; pair: number; name: string }
  | { what: "group"; id: number };

export const exposureQuery = (of: Exposed, period: Period) =>
  queryOptions({
    queryKey: ["pair", "exposure", of, period],
    queryFn: () => {
      const query = { period };
      if (of.what === "image") {
        return answer(api.GET("/images/{image_id}/exposure", { params: { path: { image_id: of.id }, query } }));
      }
      if (of.what === "group") {
        return answer(api.GET("/groups/{group_id}/exposure", { params: { path: { group_id: of.id }, query } }));
      }
      const path = { pair_id: of.pair, name: of.name };
      return answer(api.GET("/pairs/{pair_id}/pools/{name}/exposure", { params: { path, query } }));
    },
    placeholderData: keepPreviousData,
  });

/** Of what the changes are: a site, a pair of sites, and there a kind of thing or one of it. */
export type ChangesOf = Omit<NonNullable<QueryOf<"/changes">>, "before" | "limit">;

export const changesQuery = (of: ChangesOf, before?: number) =>
  queryOptions({
    queryKey: ["pair", "changes", of, before],
    queryFn: () => answer(api.GET("/changes", { params: { query: { ...of, before, limit: 20 } } })),
    placeholderData: keepPreviousData,
  });

export const poolsQuery = (pair: number) =>
  queryOptions({
    queryKey: ["pair", pair, "pools"],
    queryFn: () => answer(api.GET("/pairs/{pair_id}/pools", { params: { path: { pair_id: pair } } })),
  });

export const poolQuery = (pair: number, name: string) =>
  queryOptions({
    queryKey: ["pair", pair, "pools", name],
    queryFn: () => answer(api.GET("/pairs/{pair_id}/pools/{name}", { params: { path: { pair_id: pair, name } } })),
  });

export const alertsQuery = queryOptions({
  queryKey: ["alerts"],
  queryFn: () => answer(api.GET("/alerts")),
});

export type GapFilter = { level: string; code: string; q: string };

export const gapPages = (pair: number, filter: GapFilter): PagesOf<Gaps> => {
  const page = (cursor: string) => ({
    queryKey: ["pair", pair, "gaps", filter, cursor],
    queryFn: () =>
      answer(
        api.GET("/pairs/{pair_id}/gaps", {
          params: { path: { pair_id: pair }, query: pageOf<QueryOf<"/pairs/{pair_id}/gaps">>(filter, cursor) },
        }),
      ),
  });
  const places = {
    queryKey: ["places", pair, "gaps", filter],
    queryFn: async () => {
      const query = filled<QueryOf<"/pairs/{pair_id}/gaps/places">>(filter);
      return (await answer(api.GET("/pairs/{pair_id}/gaps/places", { params: { path: { pair_id: pair }, query } })))
        .items;
    },
  };
  return Object.assign(page, { places });
};

export type VmFilter = { protection: string; q: string; label?: string; owner?: string; pool?: string };

export const vmPages = (slug: string, filter: VmFilter): PagesOf<Vms> => {
  const page = (cursor: string) => ({
    queryKey: ["pair", "vms", slug, filter, cursor],
    queryFn: () =>
      answer(
        api.GET("/sites/{slug}/vms", {
          params: { path: { slug }, query: pageOf<QueryOf<"/sites/{slug}/vms">>(filter, cursor) },
        }),
      ),
  });
  const places = {
    queryKey: ["places", "vms", slug, filter],
    queryFn: async () => {
      const query = filled<QueryOf<"/sites/{slug}/vms/places">>(filter);
      return (await answer(api.GET("/sites/{slug}/vms/places", { params: { path: { slug }, query } }))).items;
    },
  };
  return Object.assign(page, { places });
};

/** Labels, owners and pools of a site's VMs, to choose by. */
export const vmWordsQuery = (slug: string) =>
  queryOptions({
    queryKey: ["pair", "vms", slug, "words"],
    queryFn: () => answer(api.GET("/sites/{slug}/vms/words", { params: { path: { slug } } })),
  });

/** All VMs that fit and can be in the group (null: in one that is to be made). */
export const choosableQuery = (slug: string, filter: VmFilter, group: number | null) =>
  queryOptions({
    queryKey: ["pair", "vms", slug, "choosable", filter, group],
    queryFn: () => {
      const query = { ...filled<QueryOf<"/sites/{slug}/vms/choosable">>(filter), ...(group === null ? {} : { group }) };
      return answer(api.GET("/sites/{slug}/vms/choosable", { params: { path: { slug }, query } }));
    },
    staleTime: 0,
  });

export const vmQuery = (id: number) =>
  queryOptions({
    queryKey: ["pair", "vm", id],
    queryFn: () => answer(api.GET("/vms/{vm_id}", { params: { path: { vm_id: id } } })),
  });

export const definitionQuery = (id: number) =>
  queryOptions({
    queryKey: ["pair", "vm", id, "definition"],
    queryFn: () => answer(api.GET("/vms/{vm_id}/definition", { params: { path: { vm_id: id } } })),
  });

export const versionsQuery = (vm: number) =>
  queryOptions({
    queryKey: ["pair", "vm", vm, "definitions"],
    queryFn: () => answer(api.GET("/vms/{vm_id}/definitions", { params: { path: { vm_id: vm } } })),
  });

export const definitionDiffQuery = (vm: number, before: number, after: number) =>
  queryOptions({
    queryKey: ["pair", "vm", vm, "definitions", before, after],
    queryFn: () =>
      answer(
        api.GET("/vms/{vm_id}/definitions/{before}/diff/{after}", { params: { path: { vm_id: vm, before, after } } }),
      ),
  });

export const networksQuery = (slug: string) =>
  queryOptions({
    queryKey: ["pair", "networks", slug],
    queryFn: () => answer(api.GET("/sites/{slug}/networks", { params: { path: { slug } } })),
    enabled: slug !== "",
  });

export const resourcesQuery = (slug: string) =>
  queryOptions({
    queryKey: ["pair", "resources", slug],
    queryFn: () => answer(api.GET("/sites/{slug}/resources", { params: { path: { slug } } })),
    enabled: slug !== "",
  });

export const plansQuery = queryOptions({
  queryKey: ["plan"],
  queryFn: () => answer(api.GET("/plans")),
});

export const planQuery = (id: number) =>
  queryOptions({
    queryKey: ["plan", id],
    queryFn: () => answer(api.GET("/plans/{plan_id}", { params: { path: { plan_id: id } } })),
  });

/** How each plan stands by its last check; asks no site. */
export const standingsQuery = queryOptions({
  queryKey: ["plan", "standings"],
  queryFn: () => answer(api.GET("/readiness")),
});

export const standingQuery = (id: number) =>
  queryOptions({
    queryKey: ["plan", id, "standing"],
    queryFn: () => answer(api.GET("/plans/{plan_id}/standing", { params: { path: { plan_id: id } } })),
  });

export const checksQuery = (id: number) =>
  queryOptions({
    queryKey: ["plan", id, "checks"],
    queryFn: () => answer(api.GET("/plans/{plan_id}/checks", { params: { path: { plan_id: id } } })),
  });

/** Asks the sites now (up to 20 s), so it is never repeated behind the reader's back. */
export const readinessQuery = (id: number, kind: string) =>
  queryOptions({
    queryKey: ["readiness", id, kind],
    queryFn: () =>
      answer(api.GET("/plans/{plan_id}/readiness", { params: { path: { plan_id: id }, query: { kind } } })),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
  });

type Salvage = { way: "export" | "copy" | "waive" | null; images: ReadonlyMap<number, string> };

export const previewQuery = (id: number, kind: string, salvage: Salvage) => {
  const salvage_of = [...salvage.images].map(([image, way]) => `${image}:${way}`);
  const query = { kind, salvage: salvage.way ?? undefined, salvage_of };
  return queryOptions({
    queryKey: ["plan", id, "preview", kind, salvage.way, salvage_of],
    queryFn: () => answer(api.GET("/plans/{plan_id}/preview", { params: { path: { plan_id: id }, query } })),
    placeholderData: keepPreviousData,
  });
};

export type RunFilter = { state: string; plan: string; cursor: string };

export const runsQuery = (filter: RunFilter) =>
  queryOptions({
    queryKey: ["runs", filter],
    queryFn: () => answer(api.GET("/runs", { params: { query: filled<QueryOf<"/runs">>(filter) } })),
    placeholderData: keepPreviousData,
  });

export const runQuery = (id: number) =>
  queryOptions({
    queryKey: ["run", id],
    queryFn: () => answer(api.GET("/runs/{run_id}", { params: { path: { run_id: id } } })),
  });

/** What would follow from a choice in a paused run. Nothing is changed; POST, because many VMs may be named. */
export const consequencesQuery = (run: number, version: number, wanted: ChoiceIn) =>
  queryOptions({
    queryKey: ["run", run, "consequences", version, wanted],
    queryFn: () => answer(api.POST("/runs/{run_id}/consequences", { params: { path: { run_id: run } }, body: wanted })),
  });

/**
 * Of a read of both sites (up to 25 s), which is never repeated behind the reader's back. But where the portal is still
 * reading them for the same person (who left the page and came back), the page waits for its turn.
 */
const forItsTurn = {
  retry: (failures: number, error: Error) => error instanceof Problem && error.code === "too_often" && failures < 60,
  retryDelay: 1000,
};

export const disasterQuery = (plan: number) =>
  queryOptions({
    queryKey: ["disaster", plan],
    queryFn: () => answer(api.GET("/plans/{plan_id}/disaster", { params: { path: { plan_id: plan } } })),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    ...forItsTurn,
  });

export const quarantineQuery = (id: number) =>
  queryOptions({
    queryKey: ["overview", "quarantine", id],
    queryFn: () => answer(api.GET("/quarantines/{quarantine_id}", { params: { path: { quarantine_id: id } } })),
  });

export const approvalsQuery = queryOptions({
  queryKey: ["runs", "approvals"],
  queryFn: () => answer(api.GET("/approvals")),
});

export const policyQuery = queryOptions({ queryKey: ["runs", "policy"], queryFn: () => answer(api.GET("/policy")) });

/** As it was asked; asks no site. */
export const approvalQuery = (id: number) =>
  queryOptions({
    queryKey: ["runs", "approval", id],
    queryFn: () => answer(api.GET("/approvals/{approval_id}", { params: { path: { approval_id: id } } })),
  });

/** The same with a look at both sites now (up to 25 s). */
export const approvalLookQuery = (id: number) =>
  queryOptions({
    queryKey: ["approval-look", id],
    queryFn: () =>
      answer(api.GET("/approvals/{approval_id}", { params: { path: { approval_id: id }, query: { look: true } } })),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    ...forItsTurn,
  });

export const stepQuery = (run: number, step: number) =>
  queryOptions({
    queryKey: ["run", run, "step", step],
    queryFn: () =>
      answer(api.GET("/runs/{run_id}/steps/{step_id}", { params: { path: { run_id: run, step_id: step } } })),
  });

export const reportQuery = (run: number) =>
  queryOptions({
    queryKey: ["run", run, "report"],
    queryFn: () => answer(api.GET("/runs/{run_id}/report", { params: { path: { run_id: run } } })),
  });

export type TrailFilter = TrailFields & { before: string };

export const trailQuery = (filter: TrailFilter) =>
  queryOptions({
    queryKey: ["trail", filter],
    queryFn: () =>
      answer(api.GET("/audit", { params: { query: filled<QueryOf<"/audit">>({ ...filter, limit: "50" }) } })),
    placeholderData: keepPreviousData,
  });

export type ReviewFilter = { state: string; cursor: string };

export const reviewsQuery = (filter: ReviewFilter) =>
  queryOptions({
    queryKey: ["reviews", filter],
    queryFn: () => answer(api.GET("/reviews", { params: { query: filled<QueryOf<"/reviews">>(filter) } })),
    placeholderData: keepPreviousData,
  });

export const reviewQuery = (run: number) =>
  queryOptions({
    queryKey: ["reviews", run],
    queryFn: () => answer(api.GET("/runs/{run_id}/review", { params: { path: { run_id: run } } })),
    retry: false,
  });

export const chainQuery = queryOptions({
  queryKey: ["trail", "chain"],
  queryFn: () => answer(api.GET("/audit/chain")),
});

export const entryQuery = (seq: number) =>
  queryOptions({
    queryKey: ["trail", "entry", seq],
    queryFn: () => answer(api.GET("/audit/{seq}", { params: { path: { seq } } })),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });

export const tokensQuery = queryOptions({
  queryKey: ["tokens"],
  queryFn: () => answer(api.GET("/tokens")),
});

export const factorsQuery = queryOptions({
  queryKey: ["factors"],
  queryFn: () => answer(api.GET("/factors")),
});

export const sessionsQuery = queryOptions({
  queryKey: ["sessions"],
  queryFn: () => answer(api.GET("/sessions")),
});

export const quarterReportQuery = ({ year, quarter }: Quarter, plan: number | null) =>
  queryOptions({
    queryKey: ["runs", "report", year, quarter, plan],
    queryFn: () =>
      answer(api.GET("/reports/quarter", { params: { query: { year, quarter, ...(plan === null ? {} : { plan }) } } })),
  });

export const accessQuery = queryOptions({
  queryKey: ["access"],
  queryFn: () => answer(api.GET("/access")),
});

/** Who may do what with one plan, or at one pair. */
export const accessHereQuery = (of: { plan: number } | { pair: number }) =>
  queryOptions({
    queryKey: ["access", of],
    queryFn: () =>
      "plan" in of
        ? answer(api.GET("/plans/{plan_id}/access", { params: { path: { plan_id: of.plan } } }))
        : answer(api.GET("/pairs/{pair_id}/access", { params: { path: { pair_id: of.pair } } })),
  });

/** A filter of the address bar as the API's query: without the empty fields. What does not fit, the API refuses. */
function filled<Query>(filter: Record<string, string | undefined>): Query {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value)) as Query;
}

/** The same for one page of a long table. */
function pageOf<Query>(filter: Record<string, string | undefined>, cursor: string): Query {
  return filled<Query>({ ...filter, cursor, limit: String(PAGE_ROWS) });
}
