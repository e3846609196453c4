import {
  Alert,
  Card,
  CardBody,
  CardTitle,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
} from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { chainQuery } from "../../api/queries";
import type { AnchorPlace, Chain } from "../../api/types";
import { CopyButton } from "../../components/Command";
import { Loaded } from "../../components/Loaded";
import { Age } from "../../components/Time";
import { VerifyChain } from "../../components/VerifyChain";
import { elapsedWords } from "../../lib/time";

/** Where the chain stands, where its heads are noted, and a walk along the whole of it. */
export function ChainCard() {
  const chain = useQuery({ ...chainQuery, refetchInterval: 30_000 });
  return (
    <Card component="section" aria-label="Chain">
      <CardTitle component="h2">Chain</CardTitle>
      <CardBody className="dr-stack">
        <Loaded query={chain} what="The state of the chain">
          {(data) => <State chain={data} />}
        </Loaded>
        <VerifyChain />
      </CardBody>
    </Card>
  );
}

function State({ chain }: { chain: Chain }) {
  return (
    <DescriptionList isHorizontal isCompact>
      <Row term="Newest entry">
        {chain.head.seq}{" "}
        <span className="dr-mono" title={chain.head.hash}>
          {chain.head.hash.slice(0, 12)}…
        </span>{" "}
        <CopyButton text={`${chain.head.seq}:${chain.head.hash}`} label="Copy the head, to note it elsewhere" />
      </Row>
      <Row term="Signing key">
        {chain.public_key ? (
          <>
            <span className="dr-mono" title={chain.public_key}>
              {chain.public_key.slice(0, 12)}…
            </span>{" "}
            <CopyButton text={chain.public_key} label="Copy the public key that exports are checked with" />
          </>
        ) : (
          "None is set, so nothing can be exported (DRPORTAL_SIGNING_KEY)."
        )}
      </Row>
      {chain.places.length === 0 && (
        <Row term="Noted outside">Nowhere. A tail that was cut off would not be found; set DRPORTAL_ANCHORS.</Row>
      )}
      {chain.places.map((place) => (
        <Row key={place.place} term={`Noted at ${place.place}`}>
          <Place place={place} every_s={chain.anchor_every_s} />
        </Row>
      ))}
    </DescriptionList>
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

function Place({ place, every_s }: { place: AnchorPlace; every_s: number }) {
  if (place.ok === false) return <Alert isInline isPlain variant="danger" component="h3" title={place.sentence} />;
  if (place.noted_seq === null) return place.sentence;
  return (
    <>
      entry {place.noted_seq}, <Age at={place.noted_at} />; every {elapsedWords(every_s)} when there is something new
    </>
  );
}
