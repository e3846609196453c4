import { Alert, DescriptionList, List, ListItem, PageSection, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { quarantineQuery } from "../../api/queries";
import type { Quarantine } from "../../api/types";
import { LinkButton } from "../../components/LinkButton";
import { LoadedPage } from "../../components/LoadedPage";
import { PageHead } from "../../components/PageHead";
import { StateText, VerdictText } from "../../components/State";
import { Age, Time } from "../../components/Time";
import { useMay } from "../../lib/may";
import { count, quarantineWord } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { Fact } from "../runs/RunFacts";

/** A lost site and what is seen of it since: fencing comes before anything else. */
export function QuarantinePage() {
  const id = Number(useParams().id);
  const poll = useLive(["overview"], "sites");
  const query = useQuery({ ...quarantineQuery(id), refetchInterval: poll });
  return (
    <LoadedPage query={query} what={`Return quarantine ${id}`}>
      {(one) => (
        <>
          <PageHead
            title={`Return quarantine: ${one.group} at ${one.site_name}`}
            labels={<StateText state={quarantineWord(one.state)} />}
          >
            {one.site_name} was lost when {one.group} was forced to {one.survivor_name}. Nobody demoted its copies: they
            may still be written, and its VMs may run.
          </PageHead>
          <PageSection className="dr-stack">
            {one.state === "contact" && <Seen one={one} />}
            {one.state !== "cleared" && <Ways one={one} />}
            <Facts one={one} />
          </PageSection>
          {one.images.length > 0 && <Suspects one={one} />}
        </>
      )}
    </LoadedPage>
  );
}

function Seen({ one }: { one: Quarantine }) {
  if (one.signs.length === 0) {
    const unread =
      one.unread > 0 ? `${count(one.unread, "image or VM", "images and VMs")} could not be read yet. ` : "";
    return (
      <Alert
        variant="warning"
        isInline
        component="h2"
        title={`Nothing is seen to run or to be writable at ${one.site_name}`}
      >
        {unread}It is not over before each image follows {one.survivor_name} again.
      </Alert>
    );
  }
  return (
    <Alert variant="danger" isInline component="h2" isLiveRegion title={`${one.site_name} is back and not fenced`}>
      <List>
        {one.signs.map((sign) => (
          <ListItem key={`${sign.kind} ${sign.subject}`}>{sign.sentence}</ListItem>
        ))}
      </List>
      {one.contact_at === null && <p>It does not answer any more. This is what was last seen.</p>}
    </Alert>
  );
}

function Ways({ one }: { one: Quarantine }) {
  const { whyNot } = useMay("run", { plan: one.plan_id });
  return (
    <>
      <Title headingLevel="h2">What to do, in this order</Title>
      <List component="ol">
        <ListItem>
          Fence: power its VMs off at {one.site_name} and demote its copies there. Nothing is discarded.
          {one.fence && <p className="dr-quiet">Not now: {one.fence}</p>}
        </ListItem>
        <ListItem>
          Reprotect: what {one.site_name} wrote by itself is saved or waived, then its copies are made anew. That ends
          the quarantine.
          {one.reprotect && <p className="dr-quiet">Not now: {one.reprotect}</p>}
        </ListItem>
      </List>
      <div className="dr-actions">
        <LinkButton to={`/fence?plan=${one.plan_id}`} variant="danger" whyNot={one.fence ?? whyNot}>
          Fence {one.site_name}…
        </LinkButton>
        <LinkButton to={`/reprotect?plan=${one.plan_id}`} variant="secondary" whyNot={one.reprotect ?? whyNot}>
          Reprotect…
        </LinkButton>
      </div>
      <p className="dr-quiet">
        Until it is over no failover and no failback of {one.group} begins. Only a disaster failover away from{" "}
        {one.site_name} that was cut short may go on.
      </p>
    </>
  );
}

function Facts({ one }: { one: Quarantine }) {
  return (
    <DescriptionList isHorizontal isCompact>
      <Fact term="Began">
        <Time at={one.began_at} /> by <Link to={`/runs/${one.run_id}`}>run {one.run_id}</Link>: {one.begun_by}
      </Fact>
      <Fact term="First heard of again">{one.first_contact_at ? <Time at={one.first_contact_at} /> : "not yet"}</Fact>
      <Fact term="Last looked at">{one.looked_at ? <Age at={one.looked_at} stale_after_s={30} /> : "not yet"}</Fact>
      {one.cleared_at && (
        <Fact term="Cleared">
          <Time at={one.cleared_at} />
          {one.cleared_by_run !== null && (
            <>
              {" "}
              by <Link to={`/runs/${one.cleared_by_run}`}>run {one.cleared_by_run}</Link>
            </>
          )}
          : {one.cleared_how}
        </Fact>
      )}
    </DescriptionList>
  );
}

function Suspects({ one }: { one: Quarantine }) {
  return (
    <PageSection className="dr-stack">
      <Title headingLevel="h2">Suspect copies at {one.site_name}</Title>
      <Table aria-label="Suspect copies" variant="compact">
        <Thead>
          <Tr>
            <Th>Image</Th>
            <Th>Verdict</Th>
            <Th>Says</Th>
          </Tr>
        </Thead>
        <Tbody>
          {one.images.map((image) => (
            <Tr key={image.image_id}>
              <Td dataLabel="Image">
                <Link to={`/images/${image.image_id}`}>{image.name}</Link>
              </Td>
              <Td dataLabel="Verdict">
                <VerdictText code={image.verdict} />
              </Td>
              <Td dataLabel="Says">{image.sentence}</Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
    </PageSection>
  );
}
