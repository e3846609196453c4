import { type QueryCache, useQuery, useQueryClient } from "@tanstack/react-query";
import { Suspense, useCallback, useEffect } from "react";
import { Route, Routes } from "react-router";
import { Problem, setCsrfToken } from "./api/client";
import { sessionQuery } from "./api/queries";
import { AppShell } from "./components/AppShell";
import { Loaded, Waiting } from "./components/Loaded";
import { PageGuard } from "./components/PageGuard";
import { LiveProvider } from "./live/hooks";
import { AccessPage } from "./pages/access/AccessPage";
import { AccountPage } from "./pages/account/AccountPage";
import { FactorDemandedPage } from "./pages/account/FactorDemandedPage";
import { AlertsPage } from "./pages/alerts/AlertsPage";
import { ApprovalPage } from "./pages/approvals/ApprovalPage";
import { ApprovalsPage } from "./pages/approvals/ApprovalsPage";
import { DisasterPage } from "./pages/disaster/DisasterPage";
import { GapsPage } from "./pages/gaps/GapsPage";
import { ImagePage } from "./pages/images/ImagePage";
import { ImagesPage } from "./pages/images/ImagesPage";
import { MovePage } from "./pages/move/MovePage";
import { NotFoundPage } from "./pages/NotFoundPage";
import { OverviewPage } from "./pages/overview/OverviewPage";
import { PlanFormPage } from "./pages/plans/PlanFormPage";
import { PlanPage } from "./pages/plans/PlanPage";
import { PlansPage } from "./pages/plans/PlansPage";
import { ReadinessReportPage } from "./pages/plans/ReadinessReportPage";
import { PoolPage } from "./pages/pools/PoolPage";
import { PoolsPage } from "./pages/pools/PoolsPage";
import { QuarantinePage } from "./pages/quarantines/QuarantinePage";
import { ReportPage } from "./pages/reports/ReportPage";
import { ReviewPage } from "./pages/reviews/ReviewPage";
import { ReviewsPage } from "./pages/reviews/ReviewsPage";
import { RunPage } from "./pages/runs/RunPage";
import { RunsPage } from "./pages/runs/RunsPage";
import { SignInPage } from "./pages/sign-in/SignInPage";
import { SiteFormPage } from "./pages/sites/SiteFormPage";
import { SitePage } from "./pages/sites/SitePage";
import { SitesPage } from "./pages/sites/SitesPage";
import { EntryPage } from "./pages/trail/EntryPage";
import { TrailPage } from "./pages/trail/TrailPage";
import { VmPage } from "./pages/vms/VmPage";
import { VmsPage } from "./pages/vms/VmsPage";

export function App() {
  const client = useQueryClient();
  const session = useQuery(sessionQuery);
  const askAgain = useCallback(() => void client.invalidateQueries({ queryKey: ["session"] }), [client]);
  useSignedOutElsewhere(client.getQueryCache(), askAgain);
  if (session.data) setCsrfToken(session.data.csrf_token);

  const body = (
    <Loaded query={session} what="Your session">
      {(data) =>
        data.user?.factor_missing ? (
          <FactorDemandedPage />
        ) : data.authenticated ? (
          <LiveProvider onSignedOut={askAgain}>
            <AppShell>
              <PageGuard>
                <Suspense fallback={<Waiting>Opening</Waiting>}>
                  <Pages />
                </Suspense>
              </PageGuard>
            </AppShell>
          </LiveProvider>
        ) : (
          <SignInPage session={data} />
        )
      }
    </Loaded>
  );
  if (session.data !== undefined) return body;
  return (
    <main className="dr-signin dr-stack">
      <h1 className="dr-brand">DR Portal</h1>
      {body}
    </main>
  );
}

/** A 401 from any read means that the session has ended: ask once who we are, and the sign-in page follows. */
function useSignedOutElsewhere(cache: QueryCache, askAgain: () => void): void {
  useEffect(
    () =>
      cache.subscribe((event) => {
        if (event.type !== "updated" || event.action.type !== "error" || event.query.queryKey[0] === "session") return;
        const { error } = event.action;
        if (error instanceof Problem && error.status === 401) askAgain();
      }),
    [cache, askAgain],
  );
}

function Pages() {
  return (
    <Routes>
      <Route index element={<OverviewPage />} />
      <Route path="sites" element={<SitesPage />} />
      <Route path="sites/new" element={<SiteFormPage />} />
      <Route path="sites/:slug" element={<SitePage />} />
      <Route path="sites/:slug/edit" element={<SiteFormPage />} />
      <Route path="images" element={<ImagesPage />} />
      <Route path="images/:id" element={<ImagePage />} />
      <Route path="alerts" element={<AlertsPage />} />
      <Route path="gaps" element={<GapsPage />} />
      <Route path="pools" element={<PoolsPage />} />
      <Route path="pools/:pair/:name" element={<PoolPage />} />
      <Route path="vms" element={<VmsPage />} />
      <Route path="vms/:id" element={<VmPage />} />
      <Route path="plans" element={<PlansPage />} />
      <Route path="plans/new" element={<PlanFormPage />} />
      <Route path="plans/:id" element={<PlanPage />} />
      <Route path="plans/:id/readiness" element={<ReadinessReportPage />} />
      <Route path="plans/:id/edit" element={<PlanFormPage />} />
      <Route path="planned-failover" element={<MovePage key="planned_failover" kind="planned_failover" />} />
      <Route path="failback" element={<MovePage key="failback" kind="failback" />} />
      <Route path="fence" element={<MovePage key="fence" kind="fence" />} />
      <Route path="quarantines/:id" element={<QuarantinePage />} />
      <Route path="reprotect" element={<MovePage key="reprotect" kind="reprotect" />} />
      <Route path="disaster-failover" element={<DisasterPage />} />
      <Route path="approvals" element={<ApprovalsPage />} />
      <Route path="approvals/:id" element={<ApprovalPage />} />
      <Route path="runs" element={<RunsPage />} />
      <Route path="runs/:id" element={<RunPage />} />
      <Route path="runs/:id/review" element={<ReviewPage />} />
      <Route path="report" element={<ReportPage />} />
      <Route path="reviews" element={<ReviewsPage />} />
      <Route path="trail" element={<TrailPage />} />
      <Route path="trail/:seq" element={<EntryPage />} />
      <Route path="access" element={<AccessPage />} />
      <Route path="account" element={<AccountPage />} />
      <Route path="*" element={<NotFoundPage />} />
    </Routes>
  );
}
