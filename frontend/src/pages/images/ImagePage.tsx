import { Card, CardBody, PageSection } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";
import { imageQuery } from "../../api/queries";
import { ChangesCard } from "../../components/ChangesCard";
import { ExposureCard } from "../../components/ExposureCard";
import { Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { useLive } from "../../live/hooks";
import { ImageFacts } from "./ImageDrawer";

// "heard 4 s ago" grows old without a change.
const REFETCH_MS = 30_000;

/** One image, on a page that can be linked to: why the verdict is what it is, and how exposed it is and was. */
export function ImagePage() {
  const id = Number(useParams().id);
  const query = useQuery({ ...imageQuery(id), refetchInterval: REFETCH_MS });
  return (
    <Loaded query={query} what="The image">
      {(image) => (
        <>
          <Listening pairId={image.pair_id} />
          <PageHead title={`${image.pool}/${image.name}`} crumbs={[{ to: "/images", text: "Images" }]} />
          <PageSection className="dr-stack">
            <Card>
              <CardBody>
                <ImageFacts image={image} />
              </CardBody>
            </Card>
            <ExposureCard of={{ what: "image", id }} />
            <ChangesCard
              of={{ pair: image.pair_id, kind: "image", subject: `${image.pool}/${image.name}` }}
              what="this image"
            />
          </PageSection>
        </>
      )}
    </Loaded>
  );
}

/** Hears of changes of the pair, which is known only when the image is. */
function Listening({ pairId }: { pairId: number }) {
  useLive([`pair:${pairId}`]);
  return null;
}
