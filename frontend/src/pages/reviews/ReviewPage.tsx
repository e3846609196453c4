import {
  Button,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  Form,
  FormGroup,
  List,
  ListItem,
  PageSection,
  TextArea,
  Title,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Link, useParams } from "react-router";
import { reviewAct } from "../../api/commands";
import { approvalQuery, reviewQuery } from "../../api/queries";
import type { Review } from "../../api/types";
import { Command } from "../../components/Command";
import { EvidenceView } from "../../components/EvidenceView";
import { Loaded, ProblemAlert } from "../../components/Loaded";
import { MadeFacts } from "../../components/Made";
import { PageHead } from "../../components/PageHead";
import { PaperButtons } from "../../components/PaperButtons";
import { Time, TimeTwice } from "../../components/Time";
import { VerifyChain } from "../../components/VerifyChain";
import { useMay } from "../../lib/may";
import { useSiteName } from "../../lib/siteName";
import { elapsedWords } from "../../lib/time";
import { count } from "../../lib/words";
import { ACT_WORD, REVIEW_WORD, VOICE_WORD } from "./words";

/** One run in plain words, for whoever was not there; prints as a report. */
export function ReviewPage() {
  const id = Number(useParams().id);
  const query = useQuery(reviewQuery(id));
  return (
    <>
      <PageHead
        title={`Review of run ${id}`}
        crumbs={[{ to: "/reviews", text: "Reviews" }]}
        actions={<PaperButtons name={`run-${id}`} />}
      />
      <PageSection className="dr-stack">
        <Loaded query={query} what="The review">
          {(review) => (
            <>
              <Told review={review} />
              {review.told.length > 0 && <WhoWasTold review={review} />}
              {review.approval_id !== null && <WhatTheApproverSaw id={review.approval_id} />}
              <Acts review={review} />
              <Chain />
              <Say key={review.acts.length} review={review} />
            </>
          )}
        </Loaded>
      </PageSection>
    </>
  );
}

function Told({ review }: { review: Review }) {
  const { run } = review.item;
  return (
    <>
      <DescriptionList isHorizontal isCompact>
        <Row term="What">{review.what}</Row>
        <Row term="Why">{review.why}</Row>
        <Row term="Result">{review.result}</Row>
        <Row term="Took">{review.duration_s === null ? "not known" : elapsedWords(review.duration_s)}</Row>
        <Row term="Took part">{review.participants.join(", ")}</Row>
        <Row term="Time against target">{review.recovery.sentence}</Row>
        <Row term="Data lost">{review.losses.sentence}</Row>
        <Row term="Review">{REVIEW_WORD[review.item.state] ?? review.item.state}</Row>
        <Row term="Proof">
          {review.first_entry === null ? (
            "The trail names no entry of this run."
          ) : (
            <>
              Entries {review.first_entry} to {review.last_entry} of the <Link to={`/trail?run=${run.id}`}>trail</Link>;{" "}
              <Link to={`/runs/${run.id}`}>the run itself</Link>.
            </>
          )}
        </Row>
        <MadeFacts made={review.made} />
      </DescriptionList>
      <Part title="Who did what">
        {review.people.map((act) => (
          <ListItem key={act.seq}>
            <TimeTwice at={act.at} /> {act.by} {ACT_WORD[act.action] ?? act.action}
            {act.reason && ` (${act.reason})`}, <Link to={`/trail/${act.seq}`}>entry {act.seq}</Link>
          </ListItem>
        ))}
      </Part>
      <Part title="Deviations" empty="None: every step went as planned.">
        {review.deviations.map((sentence) => (
          <ListItem key={sentence}>{sentence}</ListItem>
        ))}
      </Part>
      <Part title="VMs" empty="No VM was moved.">
        {review.vms.map((vm) => (
          <ListItem key={vm.name}>
            {vm.name}: {vm.down_s !== null && `down for ${elapsedWords(vm.down_s)}`}
            {vm.down_s === null && vm.running_at === null && "not seen running by this run"}
            {vm.down_s === null && vm.running_at !== null && (
              <>
                seen running at <TimeTwice at={vm.running_at} />; since when it was down is not known
              </>
            )}
          </ListItem>
        ))}
      </Part>
      <DataLost review={review} />
      <Part title="Where everything stands" empty="Nothing was left to say.">
        {review.standing.map((line) => (
          <ListItem key={`${line.kind} ${line.name}`}>
            {line.name}: {line.sentence}
          </ListItem>
        ))}
      </Part>
    </>
  );
}

/** Per image: what may be lost, as it was said before the yes, and what was lost, once both copies could be compared. */
/** Of a run that one person began alone: everybody who might have said yes, or has to review it. */
function WhoWasTold({ review }: { review: Review }) {
  return (
    <Part title="Who was told that one person went on alone">
      {review.told.map((each) => (
        <ListItem key={each.name}>
          <TimeTwice at={each.told_at} /> {each.name}:{" "}
          {each.seen_at ? (
            <>
              seen <Time at={each.seen_at} />
            </>
          ) : (
            "has not said yet to have seen it"
          )}
        </ListItem>
      ))}
    </Part>
  );
}

function DataLost({ review }: { review: Review }) {
  if (review.losses.images.length === 0) return null;
  return (
    <section className="dr-stack">
      <Title headingLevel="h2">Data lost</Title>
      <Table aria-label="Data lost" variant="compact">
        <Thead>
          <Tr>
            <Th>Image</Th>
            <Th>At most, as it was known before</Th>
            <Th>Exactly, as it was found later</Th>
          </Tr>
        </Thead>
        <Tbody>
          {review.losses.images.map((lost) => (
            <Tr key={lost.image}>
              <Td dataLabel="Image">
                <span className="dr-mono">{lost.image}</span>
              </Td>
              <Td dataLabel="At most, as it was known before">{lost.bound}</Td>
              <Td dataLabel="Exactly, as it was found later">{lost.exact || "not known yet"}</Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
    </section>
  );
}

/** The evidence and the commands that somebody said yes to, as they were frozen: byte for byte what ran. */
function WhatTheApproverSaw({ id }: { id: number }) {
  const name = useSiteName();
  const query = useQuery(approvalQuery(id));
  return (
    <section className="dr-stack">
      <Loaded query={query} what="The approval">
        {(approval) => (
          <>
            <Title headingLevel="h2">
              {approval.glass ? "What was seen by who went on alone: nobody approved it" : "What the approver saw"}
            </Title>
            <List>
              <ListItem>
                {approval.requested_by} asked for it: {approval.reason}
              </ListItem>
              <ListItem>
                Fence, attested by {approval.attested_by}: {approval.attestation}
              </ListItem>
              {approval.said.map((each) => (
                <ListItem key={`${each.at} ${each.name}`}>
                  <TimeTwice at={each.at} /> {each.name}: {VOICE_WORD[each.word] ?? each.word}
                  {each.text && ` (${each.text})`}
                </ListItem>
              ))}
              <ListItem>
                <Link to={`/approvals/${approval.id}`}>Approval {approval.id}</Link>, evidence with the SHA-256{" "}
                <span className="dr-mono">{approval.evidence_sha256}</span>
              </ListItem>
            </List>
            <EvidenceView
              evidence={approval.evidence}
              lost={name(approval.source_site)}
              label={approval.glass ? "Evidence that was there" : "Evidence that was approved"}
              frozen
            />
            <Title headingLevel="h3">
              {count(approval.commands.length, "command")} {approval.glass ? "that were shown" : "that were approved"}
            </Title>
            {approval.commands.map((command) => (
              <Command key={command} text={command} />
            ))}
          </>
        )}
      </Loaded>
    </section>
  );
}

function Chain() {
  const { may } = useMay("audit", "everywhere");
  if (!may) return null;
  return (
    <section className="dr-stack">
      <Title headingLevel="h2">Is the trail whole?</Title>
      <VerifyChain />
    </section>
  );
}

function Part({ title, empty = "Nobody.", children }: { title: string; empty?: string; children: ReactNode[] }) {
  return (
    <section className="dr-stack">
      <Title headingLevel="h2">{title}</Title>
      {children.length === 0 ? <p>{empty}</p> : <List>{children}</List>}
    </section>
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

function Acts({ review }: { review: Review }) {
  return (
    <Part title="Questions and answers" empty="Nobody has said anything yet.">
      {review.acts.map((act) => (
        <ListItem key={`${act.at} ${act.verb}`}>
          <TimeTwice at={act.at} /> {act.by} {act.verb}
          {act.text && `: ${act.text}`}
        </ListItem>
      ))}
    </Part>
  );
}

function Say({ review }: { review: Review }) {
  const [text, setText] = useState("");
  const reviewing = useMay("review", { plan: review.item.run.plan.id });
  const running = useMay("run", { plan: review.item.run.plan.id });
  const client = useQueryClient();
  const act = useMutation({
    mutationFn: (verb: "question" | "answer" | "accept") => reviewAct(review.item.run.id, verb, text),
    onSuccess: () => client.invalidateQueries({ queryKey: ["reviews"] }),
  });
  const whyNot = reviewing.whyNot || review.why_not;
  const answers = running.may && review.item.state === "questioned";
  if (whyNot && !answers) return <p className="dr-no-print">{whyNot}</p>;
  return (
    <Form className="dr-no-print" onSubmit={(event) => event.preventDefault()}>
      <FormGroup label="Your words (they go into the trail)" fieldId="review-text">
        <TextArea
          id="review-text"
          value={text}
          onChange={(_event, value) => setText(value)}
          resizeOrientation="vertical"
        />
      </FormGroup>
      <div className="dr-actions">
        {!whyNot && (
          <>
            <Button isDisabled={act.isPending} onClick={() => act.mutate("accept")}>
              Accept the run
            </Button>
            <Button
              variant="secondary"
              isDisabled={act.isPending || text.trim() === ""}
              onClick={() => act.mutate("question")}
            >
              Ask about it
            </Button>
          </>
        )}
        {answers && (
          <Button
            variant="secondary"
            isDisabled={act.isPending || text.trim() === ""}
            onClick={() => act.mutate("answer")}
          >
            Answer
          </Button>
        )}
      </div>
      <ProblemAlert error={act.error} />
    </Form>
  );
}
