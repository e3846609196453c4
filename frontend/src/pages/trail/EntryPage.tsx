import {
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  PageSection,
} from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link, useParams } from "react-router";
import { entryQuery } from "../../api/queries";
import type { Entry } from "../../api/types";
import { CopyButton, Raw } from "../../components/Command";
import { Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { TimeTwice } from "../../components/Time";

/** One entry with an address of its own. It never changes, so it is asked for once. */
export function EntryPage() {
  const seq = Number(useParams().seq);
  const query = useQuery(entryQuery(seq));
  return (
    <>
      <PageHead title={`Entry ${seq}`} crumbs={[{ to: "/trail", text: "Trail" }]} />
      <PageSection className="dr-stack">
        <Loaded query={query} what="The entry">
          {(entry) => <Shown entry={entry} />}
        </Loaded>
      </PageSection>
    </>
  );
}

function Shown({ entry }: { entry: Entry }) {
  const payload = JSON.stringify(entry.payload, null, 2);
  return (
    <>
      <DescriptionList isHorizontal isCompact>
        <Row term="When">
          <TimeTwice at={entry.at} />
        </Row>
        <Row term="Who">
          <Link to={`/trail?actor=${encodeURIComponent(entry.actor)}`}>{entry.actor}</Link>
        </Row>
        <Row term="What">
          <Link to={`/trail?action=${encodeURIComponent(entry.action)}`}>{entry.action}</Link>
        </Row>
        <Row term="About">{entry.subject}</Row>
        {entry.site && (
          <Row term="Site">
            <Link to={`/trail?site=${encodeURIComponent(entry.site)}`}>{entry.site}</Link>
          </Row>
        )}
        {entry.run_id !== null && (
          <Row term="Run">
            <Link to={`/runs/${entry.run_id}`}>run {entry.run_id}</Link> (
            <Link to={`/trail?run=${entry.run_id}`}>its entries</Link>)
          </Row>
        )}
        <Row term="Hash">
          <span className="dr-mono">{entry.hash}</span> <CopyButton text={entry.hash} label="Copy the hash" />
        </Row>
        <Row term="Hash before">
          <span className="dr-mono">{entry.previous_hash}</span>
        </Row>
      </DescriptionList>
      <Raw text={payload} label={`Payload of entry ${entry.seq}`} />
      <p>
        {entry.seq > 1 && <Link to={`/trail/${entry.seq - 1}`}>Entry before</Link>}{" "}
        <Link to={`/trail/${entry.seq + 1}`}>Entry after</Link>
      </p>
    </>
  );
}

function Row({ term, children }: { term: string; children: ReactNode }) {
  return (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription>{children}</DescriptionListDescription>
    </DescriptionListGroup>
  );
}
