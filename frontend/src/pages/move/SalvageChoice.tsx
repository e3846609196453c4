import { FormGroup, FormSelect, FormSelectOption, Radio } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { Dispatch } from "react";
import type { Preview } from "../../api/types";
import { Fold } from "../../components/Fold";
import { useSiteName } from "../../lib/siteName";
import type { MoveAction, Salvage, SalvageWay } from "./moveReducer";

export const WAY_WORDS: Record<string, string> = {
  export: "Save to a file",
  copy: "Keep a copy",
  waive: "Discard without a copy",
};

/** What becomes of what only the returned site has: for all images one way, for some another. */
export function SalvageChoice({
  preview,
  chosen,
  dispatch,
}: {
  preview: Preview;
  chosen: Salvage;
  dispatch: Dispatch<MoveAction>;
}) {
  const name = useSiteName();
  if (preview.salvage_ways.length === 0) return null;
  const proposed = preview.salvage_ways[0]?.why_not ? "waive" : "export";
  const way = chosen.way ?? proposed;
  return (
    <>
      <FormGroup
        role="radiogroup"
        label={`What becomes of what ${name(preview.source_site)} wrote by itself, before it is discarded?`}
        fieldId="salvage"
      >
        {preview.salvage_ways.map((one) => (
          <Radio
            key={one.way}
            id={`salvage-${one.way}`}
            name="salvage"
            label={WAY_WORDS[one.way] ?? one.way}
            description={one.why_not ?? one.sentence}
            isDisabled={one.why_not !== null}
            isChecked={way === one.way}
            onChange={() => dispatch({ type: "salvage", way: one.way })}
          />
        ))}
      </FormGroup>
      <Fold head={`Another way for some images (${chosen.images.size} chosen)`} open={chosen.images.size > 0}>
        <Table aria-label="Another way for some images" variant="compact">
          <Thead>
            <Tr>
              <Th>Image</Th>
              <Th>VM</Th>
              <Th>What becomes of it</Th>
            </Tr>
          </Thead>
          <Tbody>
            {preview.salvage_images.map((image) => (
              <Tr key={image.image_id}>
                <Td dataLabel="Image">{image.name}</Td>
                <Td dataLabel="VM">{image.vm_name}</Td>
                <Td dataLabel="What becomes of it">
                  <FormSelect
                    aria-label={`What becomes of ${image.name}`}
                    value={chosen.images.get(image.image_id) ?? ""}
                    onChange={(_event, word) =>
                      dispatch({
                        type: "salvage_of",
                        imageId: image.image_id,
                        way: word === "" ? null : (word as SalvageWay),
                      })
                    }
                  >
                    <FormSelectOption value="" label={`As all others (${WAY_WORDS[way]})`} />
                    {preview.salvage_ways
                      .filter((one) => one.why_not === null)
                      .map((one) => (
                        <FormSelectOption key={one.way} value={one.way} label={WAY_WORDS[one.way] ?? one.way} />
                      ))}
                  </FormSelect>
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      </Fold>
    </>
  );
}
