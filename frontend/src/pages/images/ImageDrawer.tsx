import {
  Card,
  CardBody,
  CardTitle,
  Content,
  DescriptionList,
  DrawerActions,
  DrawerCloseButton,
  DrawerHead,
  DrawerPanelBody,
  DrawerPanelContent,
  Title,
} from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { Link } from "react-router";
import { imageQuery } from "../../api/queries";
import type { ImageDetail, ImageSchedule, SideState } from "../../api/types";
import { Command, Raw } from "../../components/Command";
import { CopiedOf } from "../../components/CopiedOf";
import { Fold } from "../../components/Fold";
import { Loaded } from "../../components/Loaded";
import { ScheduleFact } from "../../components/ScheduleFact";
import { StateText, VerdictLabel, YesNo } from "../../components/State";
import { Age, Time } from "../../components/Time";
import { closeOnEscape } from "../../lib/keys";
import { useSiteName } from "../../lib/siteName";
import { durationWords, spanWords } from "../../lib/time";
import { exposureWord, kindWord, sizeWords } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { Fact } from "../runs/RunFacts";

/** One image: both sides side by side, the verdict and why, and the raw answers behind it. */
export function ImageDrawer({ id, onClose }: { id: number; onClose: () => void }) {
  const query = useQuery({ ...imageQuery(id), refetchInterval: useLive([]) });
  const head = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    head.current?.focus();
  }, []);
  return (
    <DrawerPanelContent
      isResizable
      defaultSize="46rem"
      minSize="22rem"
      aria-label="Image"
      onKeyDown={closeOnEscape(onClose)}
    >
      <DrawerHead>
        <span ref={head} tabIndex={-1} className="dr-silent-focus">
          <Title headingLevel="h2">{query.data ? `${query.data.pool}/${query.data.name}` : "Image"}</Title>
        </span>
        <DrawerActions>
          <DrawerCloseButton onClose={onClose} aria-label="Close the details" />
        </DrawerActions>
      </DrawerHead>
      <DrawerPanelBody>
        <Loaded query={query} what="The image">
          {(image) => (
            <>
              <p>
                <Link to={`/images/${image.id}`}>Its own page, with exposure over time</Link>
              </p>
              <ImageFacts image={image} />
            </>
          )}
        </Loaded>
      </DrawerPanelBody>
    </DrawerPanelContent>
  );
}

/** Verdict and why, both sides, and what was answered: in the drawer and on the image's own page. */
export function ImageFacts({ image }: { image: ImageDetail }) {
  const name = useSiteName();
  return (
    <div className="dr-stack">
      <VerdictLabel code={image.verdict} />
      <Content component="p">{image.verdict_sentence}</Content>
      <DescriptionList isCompact isHorizontal>
        <Fact term="Would be lost now">
          <StateText state={exposureWord(image.exposure)} /> {image.exposure.sentence}
        </Fact>
        <Fact term="Possible now">{image.allowed.length > 0 ? image.allowed.map(kindWord).join(", ") : "nothing"}</Fact>
        {image.needs.length > 0 && <Fact term="Needs">{image.needs.map(kindWord).join(", ")}</Fact>}
        <Fact term="Size, mode">
          {sizeWords(image.size_bytes)}, {image.mode}
        </Fact>
        <Fact term="Global id">
          <span className="dr-mono">{image.global_id || "none"}</span>
        </Fact>
        <Fact term="VMs">
          {image.vms.length === 0
            ? "none"
            : image.vms.map((vm) => (
                <span key={vm.id}>
                  <Link to={`/vms/${vm.id}`}>{vm.name}</Link> ({name(vm.site)}){" "}
                </span>
              ))}
        </Fact>
        <Fact term="Verdict changed">
          <Age at={image.changed_at} />
        </Fact>
      </DescriptionList>
      <div className="dr-sides">
        {Object.entries(image.sides).map(([site, side]) => (
          <Side key={site} site={site} side={side} schedule={image.schedules[site]} />
        ))}
      </div>
      <Title headingLevel="h3">Raw observations</Title>
      {image.observations.length === 0 && <p>No answer is kept.</p>}
      {image.observations.map((seen) => (
        <Fold
          key={`${seen.site} ${seen.command} ${seen.at}`}
          head={
            <>
              {name(seen.site)}, <Age at={seen.at} stale_after_s={60} />:{" "}
              <span className="dr-mono">{seen.command}</span>
            </>
          }
        >
          <Command text={seen.command} />
          <p className="dr-quiet">
            <Time at={seen.at} /> · {durationWords(seen.duration_s)} · exit status {seen.exit_status ?? "unknown"}
          </p>
          <Raw text={seen.output} label="Output" />
        </Fold>
      ))}
    </div>
  );
}

function Side({ site, side, schedule }: { site: string; side: SideState; schedule: ImageSchedule | undefined }) {
  const name = useSiteName();
  return (
    <Card isCompact variant="secondary">
      <CardTitle component="h3">{name(site)}</CardTitle>
      <CardBody>
        <DescriptionList isCompact>
          <Fact term="Site">
            <YesNo
              value={side.reachable}
              yes={{ word: "Reachable", tone: "good" }}
              no={{ word: "Not reachable", tone: "bad" }}
            />
          </Fact>
          <Fact term="Role">
            {side.exists === false
              ? "the image is missing here"
              : side.primary === null
                ? "cannot tell"
                : side.primary
                  ? "primary (can be written)"
                  : "copy (cannot be written)"}
          </Fact>
          <Fact term="Mirroring">{side.state ?? "not told"}</Fact>
          <Fact term="Ceph's words">{side.description || "none"}</Fact>
          {side.recopy && (
            <Fact term="Copied anew">
              <CopiedOf one={side.recopy} />
            </Fact>
          )}
          <Fact term="Position">{side.position ?? "not told"}</Fact>
          <Fact term="Entries behind, as counted then">{side.entries_behind ?? "not told"}</Fact>
          {side.bytes_behind !== null && (
            <Fact term="Behind the primary's newest snapshot, some">{sizeWords(side.bytes_behind)}</Fact>
          )}
          {schedule && (
            <ScheduleFact schedule={schedule} none="none: nothing is copied by itself while it is primary here" />
          )}
          <Fact term="Features">{side.features === null ? "not told" : side.features.join(", ") || "none"}</Fact>
          {side.parent && <Fact term="Hangs on (flatten it)">{side.parent}</Fact>}
          <Fact term="Rate, time left">
            {side.bytes_per_second === null ? "not told" : `${sizeWords(side.bytes_per_second)}/s`}
            {side.eta_s !== null && `, some ${spanWords(side.eta_s)} left`}
          </Fact>
          <Fact term="Its status was written">
            {side.status_age_s === null ? "not told" : `${spanWords(side.status_age_s)} ago, when this was read`}
          </Fact>
          <Fact term="Heard">
            <Age at={side.heard_at} stale_after_s={60} />
          </Fact>
        </DescriptionList>
      </CardBody>
    </Card>
  );
}
