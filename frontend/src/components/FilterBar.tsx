import { Button, FormSelect, FormSelectOption, Toolbar, ToolbarContent, ToolbarItem } from "@patternfly/react-core";
import { Children, type ReactNode } from "react";
import type { Pair } from "../api/types";
import { useSiteName } from "../lib/siteName";
import { SavedViews } from "./SavedViews";

/** What stands above a long table: its filters, saved ones among them, and the way to have all rows as a file. */
export function FilterBar({
  table,
  fields,
  file,
  children,
}: {
  table: string;
  fields: readonly string[];
  file: string;
  children: ReactNode;
}) {
  return (
    <Toolbar>
      <ToolbarContent>
        {Children.toArray(children).map((child) => (
          <ToolbarItem key={typeof child === "object" && "key" in child ? child.key : String(child)}>
            {child}
          </ToolbarItem>
        ))}
        <ToolbarItem>
          <SavedViews key={table} table={table} fields={fields} />
        </ToolbarItem>
        <ToolbarItem>
          <Button component="a" variant="secondary" href={file} download>
            All that fit, as CSV
          </Button>
        </ToolbarItem>
      </ToolbarContent>
    </Toolbar>
  );
}

/** One of a few codes, each with how many there are; or all. */
export function Choice({
  label,
  all,
  value,
  options,
  onChoose,
}: {
  label: string;
  all: string;
  value: string;
  options: { code: string; word: string; n: number }[];
  onChoose: (code: string) => void;
}) {
  return (
    <FormSelect aria-label={label} value={value} onChange={(_event, code) => onChoose(code)}>
      <FormSelectOption value="" label={all} />
      {options.map(({ code, word, n }) => (
        <FormSelectOption key={code} value={code} label={`${word} (${n})`} />
      ))}
    </FormSelect>
  );
}

/** Nothing to choose where there is only one pair. */
export function PairChoice({ pairs, pair, onChoose }: { pairs: Pair[]; pair: Pair; onChoose: (id: string) => void }) {
  const name = useSiteName();
  if (pairs.length < 2) return null;
  return (
    <FormSelect aria-label="Pair of sites" value={pair.id} onChange={(_event, value) => onChoose(value)}>
      {pairs.map((each) => (
        <FormSelectOption key={each.id} value={each.id} label={`${name(each.a)} and ${name(each.b)}`} />
      ))}
    </FormSelect>
  );
}
