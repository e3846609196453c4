import { Alert, Button, List, ListItem, PageSection, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { approvalLookQuery, approvalQuery } from "../../api/queries";
import type { Approval, EvidenceChange } from "../../api/types";
import { Command } from "../../components/Command";
import { EvidenceView } from "../../components/EvidenceView";
import { Fold } from "../../components/Fold";
import { Loaded } from "../../components/Loaded";
import { LoadedPage } from "../../components/LoadedPage";
import { PageHead } from "../../components/PageHead";
import { StateLabel, StateText } from "../../components/State";
import { Time, TimeTwice } from "../../components/Time";
import { useSiteName, useSitesNamed } from "../../lib/siteName";
import { approvalWord, count } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { BreakGlass } from "./BreakGlass";
import { Decide } from "./Decide";

/** The approver's own page: what is asked, on which evidence, what is true now, and the exact commands. */
export function ApprovalPage() {
  const id = Number(useParams().id);
  const query = useQuery({ ...approvalQuery(id), refetchInterval: useLive(["runs"]) });
  return (
    <LoadedPage query={query} what={`Approval ${id}`} crumbs={[{ to: "/approvals", text: "Approvals" }]}>
      {(approval) => <TheApproval approval={approval} />}
    </LoadedPage>
  );
}

function TheApproval({ approval: given }: { approval: Approval }) {
  const approval = useSitesNamed(given);
  const open = approval.state === "requested" && !approval.expired;
  const look = useQuery({ ...approvalLookQuery(approval.id), enabled: open });
  return (
    <>
      <PageHead
        title={`Approval ${approval.id}: disaster failover of ${approval.plan}`}
        crumbs={[{ to: "/approvals", text: "Approvals" }]}
        labels={<StateLabel state={approvalWord(approval.state)} />}
      >
        {approval.source_site} → {approval.target_site}
      </PageHead>
      <PageSection className="dr-stack">
        <Asked approval={approval} />
        {open && (
          <section className="dr-stack">
            <Title headingLevel="h2">Evidence now, against when it was frozen</Title>
            <Button
              variant="secondary"
              isLoading={look.isFetching}
              isDisabled={look.isFetching}
              onClick={() => void look.refetch()}
            >
              Ask the sites again
            </Button>
            {look.isFetching && <p role="status">Both sites are being asked, at most 25 s.</p>}
            <Loaded query={look} what="What is true now">
              {(seen) => <Compared seen={seen} />}
            </Loaded>
          </section>
        )}
        <section className="dr-stack">
          <Title headingLevel="h2">Evidence as it was frozen</Title>
          <EvidenceView evidence={approval.evidence} lost={approval.source_site} label="Frozen evidence" />
          <p className="dr-quiet">SHA-256 {approval.evidence_sha256}</p>
        </section>
        <section className="dr-stack">
          <Title headingLevel="h2">
            {count(approval.commands.length, "forced command")}, byte for byte, at {approval.target_site}
          </Title>
          {approval.commands.map((command) => (
            <Command key={command} text={command} />
          ))}
          <p>
            Where the mirror daemon at {approval.target_site} still has an image open, it is shut out for ten minutes
            first, so that it lets go: <code>ceph osd blocklist add</code>, with its address. It comes back by itself.
            Nothing else is forced; then the images are registered and the VMs started there.
          </p>
          <p className="dr-quiet">SHA-256 of the approval, as the site keeps it: {approval.sha256}</p>
          {approval.deposit && (
            <>
              <p>
                {approval.target_site} asks its own people too. Before the last yes, one of them has to type this there,
                as the login that the portal uses; it holds for a day:
              </p>
              <Command text={approval.deposit} />
            </>
          )}
        </section>
        <section className="dr-stack">
          <Title headingLevel="h2">What was said</Title>
          {approval.said.length === 0 ? (
            <p>Nobody has said anything yet.</p>
          ) : (
            <List>
              {approval.said.map((each) => (
                <ListItem key={`${each.at} ${each.name}`}>
                  <TimeTwice at={each.at} /> {each.name}: {each.word}
                  {each.text && ` (${each.text})`}
                </ListItem>
              ))}
            </List>
          )}
        </section>
        {open && <Decide approval={approval} looked={look.data} />}
        {open && approval.glass_phrase && <BreakGlass approval={approval} looked={look.data} />}
      </PageSection>
    </>
  );
}

function Asked({ approval }: { approval: Approval }) {
  return (
    <>
      {approval.sentence && <Alert variant="info" isInline component="h2" title={approval.sentence} />}
      <List>
        <ListItem>
          {approval.requested_by} asks to force-promote {count(approval.images, "image")} at {approval.target_site}, by
          version {approval.plan_version} of the plan:{" "}
          <Link to={`/runs/${approval.run_id}`}>run {approval.run_id}</Link>.
          {approval.state === "requested" &&
            (approval.could_approve.length > 0
              ? ` These could say yes now: ${approval.could_approve.join(", ")}.`
              : " Nobody could say yes now: no other person may approve this plan.")}
        </ListItem>
        <ListItem>Why: {approval.reason}</ListItem>
        <ListItem>
          What will be fenced:
          <List>
            {approval.fence.map((sentence) => (
              <ListItem key={sentence}>{sentence}</ListItem>
            ))}
          </List>
        </ListItem>
        {approval.notes.length > 0 && (
          <ListItem>
            What it will not save, or not bring home:
            <List>
              {approval.notes.map((sentence) => (
                <ListItem key={sentence}>{sentence}</ListItem>
              ))}
            </List>
          </ListItem>
        )}
        <ListItem>
          It needs the yes of {count(approval.needed, "person", "people")} other than {approval.requested_by}, counts
          once, and expires <Time at={approval.expires_at} />.
        </ListItem>
        {approval.glass && <ListItem>It was begun by one person alone; what was said tells who and why.</ListItem>}
      </List>
    </>
  );
}

function Compared({ seen }: { seen: Approval }) {
  const name = useSiteName();
  const changed = seen.differences ?? [];
  const material = changed.filter((each) => each.material);
  return (
    <>
      {material.length === 0 ? (
        <Alert variant="success" isInline component="h3" title="Nothing that matters has changed since">
          {changed.length > 0 && `${count(changed.length, "other difference")} below.`}
        </Alert>
      ) : (
        <Alert
          variant="danger"
          isInline
          component="h3"
          title={`${count(material.length, "material difference")}: this cannot be approved any more`}
        >
          The request becomes void. Look at the images, and ask again if it is still needed.
        </Alert>
      )}
      {changed.length > 0 && <Changes changes={[...material, ...changed.filter((each) => !each.material)]} />}
      {seen.now && (
        <Fold head="What both sites say now">
          <EvidenceView evidence={seen.now} lost={name(seen.source_site)} label="Evidence now" />
        </Fold>
      )}
    </>
  );
}

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

/** One value of the evidence, as a person reads it. */
function Told({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <>not told</>;
  if (typeof value === "boolean") return <>{value ? "yes" : "no"}</>;
  if (typeof value === "string") return MOMENT.test(value) ? <Time at={value} /> : <>{value}</>;
  return <>{JSON.stringify(value)}</>;
}

function Changes({ changes }: { changes: EvidenceChange[] }) {
  return (
    <Table aria-label="Differences" variant="compact">
      <Thead>
        <Tr>
          <Th>Image or site</Th>
          <Th>What</Th>
          <Th>Then</Th>
          <Th>Now</Th>
          <Th width={40}>Does it matter?</Th>
        </Tr>
      </Thead>
      <Tbody>
        {changes.map((each) => (
          <Tr key={`${each.subject} ${each.field}`}>
            <Td dataLabel="Image or site" modifier="nowrap">
              {each.subject}
            </Td>
            <Td dataLabel="What">{each.field.replaceAll("_", " ")}</Td>
            <Td dataLabel="Then">
              <Told value={each.then} />
            </Td>
            <Td dataLabel="Now">
              <Told value={each.now} />
            </Td>
            <Td dataLabel="Does it matter?">
              <StateText
                state={each.material ? { word: "Material", tone: "bad" } : { word: "Not material", tone: "idle" }}
              />
              : {each.why}
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
