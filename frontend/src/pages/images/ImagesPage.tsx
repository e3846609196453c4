import {
  Button,
  Drawer,
  DrawerContent,
  DrawerContentBody,
  FormSelect,
  FormSelectOption,
  PageSection,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { imagesQuery, pairsQuery } from "../../api/queries";
import type { Image, Pair } from "../../api/types";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { LoadedPage } from "../../components/LoadedPage";
import { NameSearch } from "../../components/NameSearch";
import { NextPage } from "../../components/NextPage";
import { PageHead } from "../../components/PageHead";
import { StateText, VerdictText } from "../../components/State";
import { Age } from "../../components/Time";
import { imageTableAddress } from "../../lib/imageFilter";
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

function Images({ pairs }: { pairs: Pair[] }) {
  const [params, setParams] = useSearchParams();
  const first = pairs[0] as Pair;
  const pair = pairs.find((each) => String(each.id) === params.get("pair")) ?? first;
  const filter = {
    verdict: params.get("verdict") ?? "",
    q: params.get("q") ?? "",
    cursor: params.get("cursor") ?? "",
  };
  const query = useQuery({ ...imagesQuery(pair.id, filter), refetchInterval: useLive([`pair:${pair.id}`]) });
  const opened = Number(params.get("image"));
  const put = (changes: Record<string, string>) =>
    setParams((was) => {
      const now = new URLSearchParams(was);
      for (const [name, value] of Object.entries(changes)) {
        if (value) now.set(name, value);
        else now.delete(name);
      }
      return now;
    });
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
            <Toolbar>
              <ToolbarContent>
                {pairs.length > 1 && (
                  <ToolbarItem>
                    <FormSelect
                      aria-label="Pair of sites"
                      value={pair.id}
                      onChange={(_event, value) => put({ pair: value, cursor: "", image: "" })}
                    >
                      {pairs.map((each) => (
                        <FormSelectOption key={each.id} value={each.id} label={`${each.a} and ${each.b}`} />
                      ))}
                    </FormSelect>
                  </ToolbarItem>
                )}
                <ToolbarItem>
                  <FormSelect
                    aria-label="Verdict"
                    value={filter.verdict}
                    onChange={(_event, value) => put({ verdict: value, cursor: "" })}
                  >
                    <FormSelectOption value="" label="Every verdict" />
                    {VERDICT_CODES.map((code) => (
                      <FormSelectOption
                        key={code}
                        value={code}
                        label={`${verdictWord(code).word} (${counts[code] ?? 0})`}
                      />
                    ))}
                  </FormSelect>
                </ToolbarItem>
                <ToolbarItem>
                  <NameSearch label="Image or VM" given={filter.q} onSearch={(q) => put({ q, cursor: "" })} />
                </ToolbarItem>
                <ToolbarItem>
                  <Button component="a" variant="secondary" href={imageTableAddress(pair.id, filter)} download>
                    All that fit, as CSV
                  </Button>
                </ToolbarItem>
              </ToolbarContent>
            </Toolbar>
            <Loaded query={query} what="The images">
              {(page) => (
                <>
                  <ImageTable
                    images={page.items}
                    sites={[pair.a, pair.b]}
                    opened={opened}
                    onOpen={(id) => put({ image: String(id) })}
                  />
                  <NextPage next={page.next} />
                </>
              )}
            </Loaded>
          </PageSection>
        </DrawerContentBody>
      </DrawerContent>
    </Drawer>
  );
}

function ImageTable({
  images,
  sites,
  opened,
  onOpen,
}: {
  images: Image[];
  sites: string[];
  opened: number;
  onOpen: (id: number) => void;
}) {
  if (images.length === 0) return <Empty title="No image fits">Change the filter, or discover the pair anew.</Empty>;
  return (
    <Table aria-label="Images" variant="compact">
      <Thead>
        <Tr>
          <Th>Image</Th>
          <Th>Verdict</Th>
          <Th>Primary</Th>
          {sites.map((site) => (
            <Th key={site}>{site}</Th>
          ))}
          <Th>Would be lost now</Th>
          <Th>VMs</Th>
          <Th>Size</Th>
          <Th>Mode</Th>
        </Tr>
      </Thead>
      <Tbody>
        {images.map((image) => (
          <Tr key={image.id} isClickable isRowSelected={image.id === opened} onRowClick={() => onOpen(image.id)}>
            <Td dataLabel="Image">
              <button type="button" className="dr-cell" onClick={() => onOpen(image.id)}>
                {image.pool}/{image.name}
              </button>
            </Td>
            <Td dataLabel="Verdict">
              <VerdictText code={image.verdict} title={image.verdict_sentence} />
            </Td>
            <Td dataLabel="Primary">{image.primary_site ?? "not told"}</Td>
            {sites.map((site) => (
              <Td key={site} dataLabel={site}>
                <SideCell image={image} site={site} />
              </Td>
            ))}
            <Td dataLabel="Would be lost now">
              <StateText state={exposureWord(image.exposure)} title={image.exposure.sentence} />
            </Td>
            <Td dataLabel="VMs">{[...new Set(image.vms.map((vm) => vm.name))].join(", ")}</Td>
            <Td dataLabel="Size">{sizeWords(image.size_bytes)}</Td>
            <Td dataLabel="Mode">{image.mode}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
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
