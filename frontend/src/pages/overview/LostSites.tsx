import { Alert, GridItem } from "@patternfly/react-core";
import { Link } from "react-router";
import type { Overview } from "../../api/types";
import { Time } from "../../components/Time";
import { count } from "../../lib/words";

/** A site that does not answer while groups are active there: what to find out, and which door is for it. */
export function LostSites({ overview }: { overview: Overview }) {
  return overview.sites
    .filter((site) => site.reachable === false)
    .map((site) => ({ site, groups: overview.groups.filter((group) => group.active_site === site.slug) }))
    .filter(({ groups }) => groups.length > 0)
    .map(({ site, groups }) => {
      const silent = [site.ssh, site.ceph, site.opennebula].find((reach) => reach.ok === false);
      return (
        <GridItem key={site.slug}>
          <Alert
            component="h2"
            variant="danger"
            isInline
            title={`${site.name} is not reachable, and ${count(groups.length, "group")} ${groups.length === 1 ? "is" : "are"} active there: ${named(groups)}`}
          >
            {silent?.since && (
              <>
                Since <Time at={silent.since} />.{" "}
              </>
            )}
            First find out whether the site is gone or only the line to it:{" "}
            <Link to={`/sites/${site.slug}`}>who sees {site.name}</Link>. If it is gone, the copies at the other site
            can be promoted by force, with a second person's yes: <Link to="/disaster-failover">Disaster failover</Link>
            . Nothing happens by itself.
          </Alert>
        </GridItem>
      );
    });
}

const MOST_NAMES = 3;

function named(groups: Overview["groups"]): string {
  const names = groups.slice(0, MOST_NAMES).map((group) => group.name);
  return groups.length > MOST_NAMES ? `${names.join(", ")} and more` : names.join(", ");
}
