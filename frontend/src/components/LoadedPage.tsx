import { PageSection } from "@patternfly/react-core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { LinkButton } from "./LinkButton";
import { Loaded } from "./Loaded";
import { PageHead } from "./PageHead";

/** A page that is about one thing: until the thing is read, and where there is none, the page still has its title. */
export function LoadedPage<D>({
  query,
  what,
  crumbs,
  children,
}: {
  query: UseQueryResult<D, Error>;
  what: string;
  crumbs?: { to: string; text: string }[];
  children: (data: D) => ReactNode;
}) {
  const body = (
    <Loaded query={query} what={what}>
      {children}
    </Loaded>
  );
  if (query.data !== undefined) return body;
  return (
    <>
      <PageHead title={what} crumbs={crumbs} />
      <PageSection className="dr-stack">
        {body}
        {query.error && (
          <LinkButton to="/" variant="secondary">
            To the overview
          </LinkButton>
        )}
      </PageSection>
    </>
  );
}
