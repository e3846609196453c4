import { Banner, Button, Icon } from "@patternfly/react-core";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "react-router";
import { Problem } from "../api/client";
import { glassSeen } from "../api/commands";
import { overviewQuery } from "../api/queries";
import type { Overview, SiteSummary } from "../api/types";
import { count } from "../lib/words";
import { useLive, useLiveStatus } from "../live/hooks";
import { StateText, YesNo } from "./State";
import { Age, Time } from "./Time";

/** What nobody may have to look for: both sites, who is active where, whether this page is live, and two primaries. */
export function SiteStrip() {
  const poll = useLive(["overview", "sites"], "sites");
  const query = useQuery({ ...overviewQuery, refetchInterval: poll });
  return (
    <div className="dr-strip">
      <ReturnedSiteBand overview={query.data} />
      <TwoPrimariesBand overview={query.data} />
      <BrokenGlassBand overview={query.data} />
      <section className="dr-strip__sites" aria-label="Sites now">
        {query.data?.sites.map((site) => (
          <SiteNow key={site.slug} site={site} overview={query.data} />
        ))}
        {query.data?.sites.length === 0 && <span>No site is set up yet.</span>}
        {!query.data && !query.error && <span>Reading the sites…</span>}
        {!query.data && query.error && (
          <StateText
            state={{
              word: `Sites: ${query.error instanceof Problem ? query.error.detail : "unknown"}`,
              tone: "unsure",
            }}
          />
        )}
        <WorkerNow overview={query.data} />
        <LiveNow />
      </section>
    </div>
  );
}

function SiteNow({ site, overview }: { site: SiteSummary; overview: Overview }) {
  const active = overview.groups.filter((group) => group.active_site === site.slug).length;
  const broken = [site.ssh, site.ceph, site.opennebula].find((reach) => reach.ok === false);
  return (
    <span>
      <Link to={`/sites/${site.slug}`}>
        <strong>{site.name}</strong>
      </Link>{" "}
      <YesNo
        value={site.reachable}
        yes={{ word: "Reachable", tone: "good" }}
        no={{ word: "Not reachable", tone: "bad" }}
      />
      {broken?.since && (
        <>
          {" "}
          since <Time at={broken.since} clock />
        </>
      )}
      {" · heard "}
      <Age at={site.last_heard} stale_after_s={30} />
      {" · active for "}
      {count(active, "group")}
    </span>
  );
}

function WorkerNow({ overview }: { overview: Overview | undefined }) {
  if (!overview || overview.live.worker) return null;
  return <StateText state={{ word: "No worker: runs cannot go on", tone: "bad" }} />;
}

function LiveNow() {
  const status = useLiveStatus();
  const since = new Date(status.since_ms).toISOString();
  return (
    <span className="dr-strip__live" role="status">
      {status.state === "live" ? (
        <StateText state={{ word: "Live", tone: "good" }} title="Changes are shown as they happen." />
      ) : status.state === "connecting" ? (
        <StateText state={{ word: "Connecting…", tone: "busy" }} />
      ) : (
        <>
          <StateText state={{ word: "Not live since", tone: "warn" }} /> <Time at={since} clock />
          {", reading on a timer"}
        </>
      )}
    </span>
  );
}

/** It stays until the copies there were made anew; nobody can dismiss it. */
function ReturnedSiteBand({ overview }: { overview: Overview | undefined }) {
  return (overview?.returned ?? []).map((one) => (
    <Banner key={one.quarantine_id} color="red" className="dr-band" role="alert" screenReaderText="Danger:">
      <Icon isInline>
        <ExclamationCircleIcon />
      </Icon>{" "}
      {one.sentence} <Link to={`/quarantines/${one.quarantine_id}`}>{one.next_act}</Link>
    </Banner>
  ));
}

function BrokenGlassBand({ overview }: { overview: Overview | undefined }) {
  return (overview?.broken_glass ?? []).map((run) => (
    <Banner key={run.run_id} color="red" className="dr-band" role="alert" screenReaderText="Danger:">
      <Icon isInline>
        <ExclamationCircleIcon />
      </Icon>{" "}
      {run.sentence} The plan is locked until a manager has accepted it.{" "}
      {run.unseen.length > 0 && `Have not seen this yet: ${run.unseen.join(", ")}. `}
      {run.for_me && <IHaveSeenIt run={run.run_id} />}{" "}
      <Link to={`/runs/${run.run_id}/review`}>Review run {run.run_id}</Link>
    </Banner>
  ));
}

/** Of who was told by name. The band stays; the review says who has seen it. */
function IHaveSeenIt({ run }: { run: number }) {
  const client = useQueryClient();
  const seen = useMutation({
    mutationFn: () => glassSeen(run),
    onSettled: () => client.invalidateQueries({ queryKey: ["overview"] }),
  });
  return (
    <Button variant="secondary" size="sm" isDisabled={seen.isPending} onClick={() => seen.mutate()}>
      I have seen this
    </Button>
  );
}

function TwoPrimariesBand({ overview }: { overview: Overview | undefined }) {
  const images = overview?.two_primaries ?? [];
  if (images.length === 0) return null;
  const named = images.slice(0, 3);
  return (
    <Banner color="red" className="dr-band" role="alert" screenReaderText="Danger:">
      <Icon isInline>
        <ExclamationCircleIcon />
      </Icon>{" "}
      Two primaries: {count(images.length, "image")} can be written at both sites, by what was last seen. Stop the
      writers at one side first.{" "}
      {named.map((image, place) => (
        <span key={image.image_id}>
          {place > 0 && ", "}
          <Link to={`/images/${image.image_id}`}>{image.name}</Link>
        </span>
      ))}
      {images.length > named.length && (
        <>
          {" "}
          and <Link to="/images?verdict=two_primaries">more</Link>
        </>
      )}
    </Banner>
  );
}
