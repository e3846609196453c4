import {
  Alert,
  Bullseye,
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Skeleton,
  Spinner,
} from "@patternfly/react-core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Problem } from "../api/client";
import { ProofAgain } from "./ProofAgain";
import { Age } from "./Time";

/** A refusal in the portal's own sentence. */
export function ProblemAlert({ error, title }: { error: unknown; title?: string }) {
  if (!error) return null;
  const problem = error instanceof Problem ? error : null;
  return (
    <Alert variant="danger" isInline title={title ?? problem?.title ?? "This page failed"} component="h2" role="alert">
      <p>{problem?.detail ?? String(error)}</p>
      {Object.entries(problem?.fields ?? {}).map(([field, message]) => (
        <p key={field}>
          <strong>{field}</strong>: {message}
        </p>
      ))}
      {problem?.code === "password_again" && <ProofAgain />}
    </Alert>
  );
}

/**
 * What a read gives: a skeleton while it is first loading, the portal's sentence when it failed, and after that the
 * content; when only a later read failed, the content stays and says how old it is.
 */
export function Loaded<D>({
  query,
  children,
  what,
}: {
  query: UseQueryResult<D, Error>;
  children: (data: D) => ReactNode;
  what: string;
}) {
  if (query.data === undefined) {
    if (query.error) {
      return (
        <>
          <ProblemAlert error={query.error} title={`${what} could not be read`} />
          <Button variant="link" onClick={() => void query.refetch()}>
            Try again
          </Button>
        </>
      );
    }
    return <Loading what={what} />;
  }
  return (
    <>
      {query.error && (
        <Alert
          variant="warning"
          isInline
          title={`${what} could not be read again: what you see is from before`}
          role="status"
        >
          {query.error instanceof Problem ? query.error.detail : String(query.error)} Last read{" "}
          <Age at={new Date(query.dataUpdatedAt).toISOString()} />.
        </Alert>
      )}
      {children(query.data)}
    </>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div role="status" aria-label={`Reading ${what}`} className="dr-stack">
      <Skeleton width="40%" screenreaderText={`Reading ${what}`} />
      <Skeleton width="90%" />
      <Skeleton width="80%" />
      <Skeleton width="85%" />
    </div>
  );
}

export function Waiting({ children }: { children: ReactNode }) {
  return (
    <Bullseye>
      <EmptyState titleText={children} icon={Spinner} headingLevel="h2" />
    </Bullseye>
  );
}

export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <EmptyState titleText={title} headingLevel="h2" variant="sm">
      {children && <EmptyStateBody>{children}</EmptyStateBody>}
      {action && (
        <EmptyStateFooter>
          <EmptyStateActions>{action}</EmptyStateActions>
        </EmptyStateFooter>
      )}
    </EmptyState>
  );
}
