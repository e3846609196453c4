import { Alert, Card, CardBody, CardTitle, DescriptionList } from "@patternfly/react-core";
import type { Site } from "../../api/types";
import { Command } from "../../components/Command";
import { Age } from "../../components/Time";
import { Fact } from "../runs/RunFacts";

type Program = NonNullable<Site["program"]>;

const RIGHTS: Record<string, string> = { read: "The key that observes", act: "The key that acts" };
const FORCE: Record<string, string> = {
  approved: "with an approval of the portal",
  deposited: "with an approval that the site's own people have deposited there, too",
  refused: "never at this site",
};

/** The installed site program: whether it is the portal's own, and what each of the two keys may do with it. */
export function ProgramCard({ program }: { program: Program }) {
  return (
    <Card>
      <CardTitle component="h2">Installed site program</CardTitle>
      <CardBody className="dr-stack">
        {program.skew && <Alert variant="warning" isInline component="h3" title={program.skew} />}
        {program.pools_differ && <Alert variant="warning" isInline component="h3" title={program.pools_differ} />}
        <DescriptionList isCompact columnModifier={{ default: "2Col" }}>
          <Fact term="Version">
            {program.version}
            {program.skew ? ", not the portal's own" : ", the portal's own"}
          </Fact>
          <Fact term="SHA-256">
            <span className="dr-mono">{program.sha256}</span>
          </Fact>
          <Fact term="File">{program.path || "wherever it was put by hand"}</Fact>
          <Fact term="Last told">
            <Age at={program.read_at} stale_after_s={180} />
          </Fact>
          {program.force_promote && (
            <Fact term="A promotion is forced">{FORCE[program.force_promote] ?? program.force_promote}</Fact>
          )}
        </DescriptionList>
        {program.keys.length === 0 ? (
          <p>
            It was installed by hand. The portal uses the key of the site's login for everything; its forced command, in
            authorized_keys there, says what it may do.
          </p>
        ) : (
          program.keys.map((key) => <ProgramKey key={key.rights} held={key} />)
        )}
      </CardBody>
    </Card>
  );
}

function ProgramKey({ held }: { held: Program["keys"][number] }) {
  return (
    <section className="dr-stack" aria-label={RIGHTS[held.rights] ?? held.rights}>
      <h3>
        {RIGHTS[held.rights] ?? held.rights}:{" "}
        {held.ceph_user ? `client.${held.ceph_user} in Ceph` : "Ceph's own user of that host"}
      </h3>
      <p>All that can be run with it, as it stands in authorized_keys there:</p>
      <Command text={held.command} />
      <p>
        {held.ceph_user
          ? "What its Ceph user needs, and no more; an administrator of the cluster types:"
          : "It can do in Ceph whatever that user can. A user of its own needs no more than this:"}
      </p>
      <Command text={held.caps} />
    </section>
  );
}
