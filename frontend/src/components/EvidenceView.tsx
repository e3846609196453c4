import { List, ListItem, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { Evidence, ImageEvidence, SecondViewOut } from "../api/types";
import { worstLoss } from "../lib/loss";
import { useSiteName } from "../lib/siteName";
import { count, upWords, type Word } from "../lib/words";
import { SightsTable } from "./SightsTable";
import { StateText } from "./State";
import { Age, Time, TimeTwice } from "./Time";

const WAYS: Record<string, string> = { ssh: "SSH", ceph: "Ceph", opennebula: "OpenNebula" };

/**
 * What a disaster failover is decided on: who is silent since when, and per image its copy and the bound of the loss.
 * `frozen`: as it was when it was decided; on paper nothing grows older.
 */
export function EvidenceView({
  evidence,
  lost,
  label,
  frozen = false,
}: {
  evidence: Evidence;
  lost: string;
  label: string;
  frozen?: boolean;
}) {
  return (
    <div className="dr-stack">
      <p>
        {frozen ? (
          <>
            Read at <TimeTwice at={evidence.taken_at} />{" "}
          </>
        ) : (
          <>
            Read <Age at={evidence.taken_at} /> (<Time at={evidence.taken_at} />
            ).{" "}
          </>
        )}
        {evidence.lost_at && (
          <>
            Contact was lost <Time at={evidence.lost_at} />.
          </>
        )}
      </p>
      {evidence.lost_at && (
        <p>
          <strong>{worstLoss(evidence.images)}</strong>
        </p>
      )}
      <Title headingLevel="h3">
        {evidence.ways.some((way) => way.asked_at)
          ? `Does ${lost} answer?`
          : `What the poller had heard last of ${lost}`}
      </Title>
      <List>
        {evidence.ways.map((way) => (
          <ListItem key={way.way}>
            {WAYS[way.way] ?? way.way}: <StateText state={wayWord(way.ok)} />{" "}
            {way.since && (
              <>
                since <Time at={way.since} />.{" "}
              </>
            )}
            {way.asked_at && (
              <>
                Asked <Time at={way.asked_at} />.{" "}
              </>
            )}
            {way.sentence}
          </ListItem>
        ))}
      </List>
      {evidence.second_view && <SecondView view={evidence.second_view} lost={lost} />}
      {evidence.sights.length > 0 && (
        <>
          <Title headingLevel="h3">Who sees what of {lost} since when</Title>
          <SightsTable sights={evidence.sights} of={lost} frozen={frozen} />
        </>
      )}
      <p>
        None of this is proof: VMs may run behind a cut line. So somebody has to say who made sure that nothing runs
        there, and is on record with it.
      </p>
      <Title headingLevel="h3">{count(evidence.images.length, "image")}</Title>
      <Table aria-label={label} variant="compact">
        <Thead>
          <Tr>
            <Th>Image</Th>
            <Th>The copy</Th>
            <Th modifier="wrap">{lost} about it</Th>
            <Th>Position of the copy</Th>
            <Th modifier="wrap">Last heard before</Th>
            <Th width={40}>What would be lost</Th>
          </Tr>
        </Thead>
        <Tbody>
          {evidence.images.map((image) => (
            <Tr key={image.name}>
              <Td dataLabel="Image" modifier="nowrap">
                {image.name}
              </Td>
              <Td dataLabel="The copy">
                <StateText state={copyWord(image)} />
              </Td>
              <Td dataLabel={`${lost} about it`}>
                <StateText
                  state={
                    image.other_side_answers
                      ? { word: image.other_side_primary ? "Answers: primary" : "Answers", tone: "warn" }
                      : { word: "Silent", tone: "unsure" }
                  }
                />
              </Td>
              <Td dataLabel="Position of the copy">
                {position(image)}
                {(image.opened_by?.length ?? 0) > 0 && `; opened by ${image.opened_by?.join(", ")}`}
              </Td>
              <Td dataLabel="Last heard before">
                <LastHeard image={image} lost={lost} />
              </Td>
              <Td dataLabel="What would be lost">
                {image.loss}
                {(image.trouble ?? []).map((sentence) => (
                  <div key={sentence} className="dr-quiet">
                    {sentence}
                  </div>
                ))}
              </Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
      {evidence.vms.length > 0 && (
        <>
          <Title headingLevel="h3">Disks of one VM against each other</Title>
          <List>
            {evidence.vms.map((vm) => (
              <ListItem key={vm.name}>
                {vm.name}:{" "}
                {vm.spread_s === null
                  ? "cannot tell how far apart in time its disks are."
                  : `its disks are at most ${upWords(vm.spread_s)} apart in time.`}
              </ListItem>
            ))}
          </List>
        </>
      )}
    </div>
  );
}

/** The newest positions of both sides from before contact was lost. */
function LastHeard({ image, lost }: { image: ImageEvidence; lost: string }) {
  const heard = image.last_heard;
  if (!heard?.heard_at) return <>{lost} was never heard</>;
  return (
    <>
      <div>
        {lost}: {heard.there ?? "no position"} {heard.there_at && <Time at={heard.there_at} />}
      </div>
      <div>
        The copy: {heard.here ?? "no position"} {heard.here_at && <Time at={heard.here_at} />}
      </div>
      <div className="dr-quiet">
        {heard.before_lost_s == null
          ? "When contact was lost is not known."
          : `Heard ${upWords(heard.before_lost_s)} before contact was lost.`}
      </div>
    </>
  );
}

/** The other site's host and witnesses are asked too: a cut line looks like a dead site to whoever sits at the end of it. */
function SecondView({ view, lost }: { view: SecondViewOut; lost: string }) {
  const name = useSiteName();
  const contact = CONTACT[view.contact];
  return (
    <>
      <Title headingLevel="h3">What others see of {lost}</Title>
      <p>
        <StateText state={STANDING[view.standing] ?? { word: view.standing, tone: "unsure" }} />
        {contact && (
          <>
            , <StateText state={contact} />
          </>
        )}
        . {view.sentence}
        {view.trouble && ` ${view.trouble}`}
      </p>
      {view.views.length + view.witnesses.length > 0 && (
        <List>
          {view.views.map((each) => (
            <ListItem key={each.address}>
              {name(view.asked)}: {each.what} at {each.address} {each.sentence}.
            </ListItem>
          ))}
          {view.witnesses.map((witness) =>
            witness.trouble ? (
              <ListItem key={witness.name}>
                The witness {witness.name} could not be asked: {witness.trouble}
              </ListItem>
            ) : (
              witness.views.map((each) => (
                <ListItem key={`${witness.name} ${each.address}`}>
                  The witness {witness.name}: {each.what} at {each.address} {each.sentence}.
                </ListItem>
              ))
            ),
          )}
        </List>
      )}
    </>
  );
}

const STANDING: Record<string, Word> = {
  answers: { word: "Reachable", tone: "good" },
  silent_for_both: { word: "Silent for both", tone: "bad" },
  silent_for_all: { word: "Silent for all", tone: "bad" },
  a_witness_sees: { word: "Alive", tone: "warn" },
  portal_alone: { word: "Alive", tone: "warn" },
  greets_the_portal: { word: "Alive", tone: "warn" },
  one_view: { word: "One view only", tone: "unsure" },
};

/** Down is only what all places say together. */
const CONTACT: Record<string, Word> = {
  unreachable: { word: "Unreachable", tone: "unsure" },
  down: { word: "Down, as far as can be seen", tone: "bad" },
};

function wayWord(ok: boolean | null): Word {
  if (ok === null) return { word: "Cannot tell", tone: "unsure" };
  return ok ? { word: "Answers", tone: "good" } : { word: "Silent", tone: "bad" };
}

function copyWord(image: ImageEvidence): Word {
  if (image.exists_here === null) return { word: "Not read", tone: "unsure" };
  if (!image.exists_here) return { word: "No copy", tone: "bad" };
  if (image.primary_here) return { word: "Primary already", tone: "warn" };
  if (image.whole_copy === null) return { word: "Cannot tell whether it is whole", tone: "unsure" };
  return image.whole_copy ? { word: "Was whole", tone: "good" } : { word: "Never completed", tone: "bad" };
}

function position(image: ImageEvidence): string {
  if (image.mode === "snapshot") return `snapshot ${image.newest_complete_snapshot ?? "unknown"}`;
  if (image.mode !== "journal") return "unknown";
  const behind = image.entries_behind == null ? "" : `, ${count(image.entries_behind, "entry", "entries")} behind then`;
  return `journal ${image.replayed_position ?? "unknown"}${behind}`;
}
