import { Alert, AlertActionLink, ExpandableSection, PageSection } from "@patternfly/react-core";
import type { ReactNode } from "react";
import { ErrorBoundary, type FallbackProps } from "react-error-boundary";
import { useLocation } from "react-router";

/**
 * A fault in drawing a page costs that page and nothing else: the menu and the sites' strip stay, and going to another
 * page begins anew. Without it React takes the whole portal off the screen.
 */
export function PageGuard({ children }: { children: ReactNode }) {
  const { pathname } = useLocation();
  return (
    // Not `onError={reportError}`: called as a method of the boundary's props, the browser's own function throws, and
    // what was to keep one page's fault small takes the whole portal off the screen.
    <ErrorBoundary FallbackComponent={PageFailed} resetKeys={[pathname]} onError={(error) => reportError(error)}>
      {children}
    </ErrorBoundary>
  );
}

function PageFailed({ error, resetErrorBoundary }: FallbackProps) {
  return (
    <PageSection hasBodyWrapper={false}>
      <Alert
        variant="danger"
        isInline
        title="This page could not be drawn"
        component="h1"
        role="alert"
        actionLinks={
          <>
            <AlertActionLink onClick={resetErrorBoundary}>Draw it again</AlertActionLink>
            <AlertActionLink component="a" href={window.location.href}>
              Load the portal again
            </AlertActionLink>
          </>
        }
      >
        <p>
          The fault is in the portal's page in this browser. It has changed nothing at the sites, and runs go on without
          this page: Runs in the menu shows where they are. What you had typed here is lost.
        </p>
        <ExpandableSection toggleText="What to tell the portal's developers">
          <code>{error instanceof Error ? `${error.name}: ${error.message}` : String(error)}</code>
        </ExpandableSection>
      </Alert>
    </PageSection>
  );
}
