import {
  Label,
  PageSection,
  ToggleGroup,
  ToggleGroupItem,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link, useSearchParams } from "react-router";
import { reviewsQuery } from "../../api/queries";
import type { ReviewItem } from "../../api/types";
import { Empty, Loaded } from "../../components/Loaded";
import { NextPage } from "../../components/NextPage";
import { PageHead } from "../../components/PageHead";
import { Time } from "../../components/Time";
import { kindWord, runStateWord } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { REVIEW_WORD } from "./words";

const STATES = [
  { state: "open", text: "Open" },
  { state: "new", text: "New" },
  { state: "questioned", text: "Questioned" },
  { state: "accepted", text: "Accepted" },
];

/** The manager's queue: runs that have ended, and which of them nobody has accepted yet. */
export function ReviewsPage() {
  const [params, setParams] = useSearchParams();
  const filter = { state: params.get("state") ?? "open", cursor: params.get("cursor") ?? "" };
  const query = useQuery({ ...reviewsQuery(filter), refetchInterval: useLive(["runs"]) });
  return (
    <>
      <PageHead title="Reviews">Each run that has ended is looked at by somebody who took no part in it.</PageHead>
      <PageSection className="dr-stack">
        <Toolbar>
          <ToolbarContent>
            <ToolbarItem>
              <ToggleGroup aria-label="Reviews in which state">
                {STATES.map(({ state, text }) => (
                  <ToggleGroupItem
                    key={state}
                    text={text}
                    buttonId={`reviews-${state}`}
                    isSelected={filter.state === state}
                    onChange={() => setParams({ state })}
                  />
                ))}
              </ToggleGroup>
            </ToolbarItem>
          </ToolbarContent>
        </Toolbar>
        <Loaded query={query} what="The reviews">
          {(page) => (
            <>
              {page.overdue > 0 && <p role="status">{page.overdue} overdue.</p>}
              {page.items.length === 0 ? <Empty title="No run to review here" /> : <Queue items={page.items} />}
              <NextPage next={page.next} />
            </>
          )}
        </Loaded>
      </PageSection>
    </>
  );
}

function Queue({ items }: { items: ReviewItem[] }) {
  return (
    <Table aria-label="Reviews" variant="compact">
      <Thead>
        <Tr>
          <Th>Run</Th>
          <Th>Plan</Th>
          <Th>Ended</Th>
          <Th>Result</Th>
          <Th>Asked for by</Th>
          <Th>Review</Th>
          <Th>Due</Th>
        </Tr>
      </Thead>
      <Tbody>
        {items.map(({ run, state, due_at, overdue, alone }) => (
          <Tr key={run.id}>
            <Td dataLabel="Run">
              <Link to={`/runs/${run.id}/review`}>
                {run.id} {kindWord(run.kind)}
              </Link>
            </Td>
            <Td dataLabel="Plan">{run.plan.name}</Td>
            <Td dataLabel="Ended">
              <Time at={run.finished_at} />
            </Td>
            <Td dataLabel="Result">{runStateWord(run.state).word}</Td>
            <Td dataLabel="Asked for by">{run.requested_by}</Td>
            <Td dataLabel="Review">
              {REVIEW_WORD[state] ?? state}{" "}
              {alone && <Label status="danger">{state === "accepted" ? "Begun alone" : "Begun alone: locked"}</Label>}
            </Td>
            <Td dataLabel="Due">
              {state === "accepted" ? (
                ""
              ) : (
                <>
                  <Time at={due_at} /> {overdue && <Label status="danger">Overdue</Label>}
                </>
              )}
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
