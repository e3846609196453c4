import { Drawer, DrawerContent, DrawerContentBody, PageSection } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useFirstPage } from "../../api/pages";
import { imagePages, pairsQuery } from "../../api/queries";
import type { Image, Pair } from "../../api/types";
import { type BigColumn, BigTable } from "../../components/BigTable";
import { Choice, FilterBar, PairChoice } from "../../components/FilterBar";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { LoadedPage } from "../../components/LoadedPage";
import { NameSearch } from "../../components/NameSearch";
import { PageHead } from "../../components/PageHead";
import { StateText, VerdictText } from "../../components/State";
import { Age } from "../../components/Time";
import { tableAddress, useAddress } from "../../lib/address";
import { useSiteName } from "../../lib/siteName";
import { exposureWord, sizeWords, VERDICT_CODES, verdictWord } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { ImageDrawer } from "./ImageDrawer";

export function ImagesPage() {
  const query = useQuery(pairsQuery);
  return (
    <LoadedPage query={query} what="Images">
      {({ items }) =>
        items.length === 0 ? (
          <>
            <PageHead title="Images" />
            <PageSection>
              <Empty title="No pair of sites yet" action={<LinkButton to="/sites">To the sites</LinkButton>}>
                Images are read from two sites that mirror each other.
              </Empty>
            </PageSection>
          </>
        ) : (
          <Images pairs={items} />
        )
      }
    </LoadedPage>
  );
}

const FIELDS = ["pair", "verdict", "q"] as const;

function Images({ pairs }: { pairs: Pair[] }) {
  const [params, put] = useAddress();
  const pair = pairs.find((each) => String(each.id) === params.get("pair")) ?? (pairs[0] as Pair);
  const verdict = params.get("verdict") ?? "";
  const q = params.get("q") ?? "";
  const pages = useMemo(() => imagePages(pair.id, { verdict, q }), [pair.id, verdict, q]);
  const interval_ms = useLive([`pair:${pair.id}`]);
  const query = useFirstPage(pages, interval_ms);
  const siteName = useSiteName();
  const columns = useMemo(() => columnsOf(pair, siteName, (id) => put({ image: String(id) })), [pair, siteName, put]);
  const opened = Number(params.get("image"));
  const counts = query.data?.counts ?? {};
  return (
    <Drawer isExpanded={opened > 0}>
      <DrawerContent
        panelContent={opened > 0 ? <ImageDrawer key={opened} id={opened} onClose={() => put({ image: "" })} /> : null}
      >
        <DrawerContentBody>
          <PageHead title="Images">
            Every mirrored image as both sites see it. The verdict is the portal's, from both sides together.
          </PageHead>
          <PageSection>
            <FilterBar table="images" fields={FIELDS} file={tableAddress(`/pairs/${pair.id}/images`, { verdict, q })}>
              <PairChoice pairs={pairs} pair={pair} onChoose={(id) => put({ pair: id, image: "" })} />
              <Choice
                label="Verdict"
                all="Every verdict"
                value={verdict}
                options={VERDICT_CODES.map((code) => ({ code, word: verdictWord(code).word, n: counts[code] ?? 0 }))}
                onChoose={(code) => put({ verdict: code })}
              />
              <NameSearch label="Image or VM" given={q} onSearch={(text) => put({ q: text })} />
            </FilterBar>
            <Loaded query={query} what="The images">
              {(first) =>
                first.total === 0 ? (
                  <Empty title="No image fits">Change the filter, or discover the pair anew.</Empty>
                ) : (
                  <BigTable
                    label="Images"
                    noun="image"
                    pages={pages}
                    first={first}
                    isOld={query.isPlaceholderData}
                    interval_ms={interval_ms}
                    columns={columns}
                    rowPx={ROW_PX}
                    isOpened={(image: Image) => image.id === opened}
                    onOpen={(image) => put({ image: String(image.id) })}
                  />
                )
              }
            </Loaded>
          </PageSection>
        </DrawerContentBody>
      </DrawerContent>
    </Drawer>
  );
}

/** Two lines of small text; app.css says the same. */
const ROW_PX = 48;

function columnsOf(pair: Pair, siteName: (slug: string) => string, open: (id: number) => void): BigColumn<Image>[] {
  const ofSite = (site: string): BigColumn<Image> => ({
    title: siteName(site),
    rem: 9.5,
    cell: (image) => <SideCell image={image} site={site} />,
  });
  return [
    {
      title: "Image",
      rem: 10,
      cell: (image) => (
        <button type="button" className="dr-cell" onClick={() => open(image.id)}>
          {image.pool}/{image.name}
        </button>
      ),
    },
    {
      title: "Verdict",
      rem: 10,
      cell: (image) => <VerdictText code={image.verdict} title={image.verdict_sentence} />,
    },
    { title: "Primary", rem: 4.5, cell: (image) => (image.primary_site ? siteName(image.primary_site) : "not told") },
    ofSite(pair.a),
    ofSite(pair.b),
    {
      title: "Would be lost now",
      rem: 8,
      cell: (image) => <StateText state={exposureWord(image.exposure)} title={image.exposure.sentence} />,
    },
    { title: "VMs", rem: 6, cell: (image) => [...new Set(image.vms.map((vm) => vm.name))].join(", ") },
    { title: "Size", rem: 4, cell: (image) => sizeWords(image.size_bytes) },
    { title: "Mode", rem: 4.25, cell: (image) => image.mode },
  ];
}

function SideCell({ image, site }: { image: Image; site: string }) {
  const side = image.sides[site];
  if (!side) return <>not read</>;
  const role =
    side.exists === false ? "missing" : side.primary === null ? "role not told" : side.primary ? "primary" : "copy";
  return (
    <>
      {role}
      {side.state && `, ${side.state}`}
      <br />
      <small>
        <Age at={side.heard_at} stale_after_s={60} />
      </small>
    </>
  );
}
