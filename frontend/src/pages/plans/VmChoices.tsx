import { Button, FormSelect, FormSelectOption, Toolbar, ToolbarContent, ToolbarItem } from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type Dispatch, useState } from "react";
import { choosableQuery, type VmFilter, vmWordsQuery } from "../../api/queries";
import type { ChoosableVms } from "../../api/types";
import { Choice } from "../../components/FilterBar";
import { ProblemAlert } from "../../components/Loaded";
import { NameSearch } from "../../components/NameSearch";
import { count } from "../../lib/words";
import { type PlanAction, type PlanDraft, PRIORITIES } from "./planReducer";

type Filter = Required<VmFilter>;
export const ANY_VM: Filter = { protection: "", q: "", label: "", owner: "", pool: "" };

/** By what the VMs of a site can be found: their name or group, label, owner, and the pool of their disks. */
export function VmChoices({
  site,
  filter,
  counts,
  onChange,
}: {
  site: string;
  filter: Filter;
  counts: Record<string, number>;
  onChange: (filter: Filter) => void;
}) {
  const words = useQuery(vmWordsQuery(site)).data;
  const options = (found: Record<string, number> = {}) =>
    Object.entries(found).map(([word, n]) => ({ code: word, word, n }));
  const put = (changed: Partial<Filter>) => onChange({ ...filter, ...changed });
  return (
    <Toolbar>
      <ToolbarContent>
        <ToolbarItem>
          <NameSearch label="VM or group" given={filter.q} onSearch={(q) => put({ q })} />
        </ToolbarItem>
        <ToolbarItem>
          <Choice
            label="Protection"
            all="In a group or not"
            value={filter.protection}
            options={[
              { code: "no_group", word: "In no group", n: counts.no_group ?? 0 },
              { code: "in_group", word: "In a group", n: counts.in_group ?? 0 },
            ]}
            onChoose={(protection) => put({ protection })}
          />
        </ToolbarItem>
        <ToolbarItem>
          <Choice
            label="Label"
            all="Any label"
            value={filter.label}
            options={options(words?.labels)}
            onChoose={(label) => put({ label })}
          />
        </ToolbarItem>
        <ToolbarItem>
          <Choice
            label="Owner"
            all="Any owner"
            value={filter.owner}
            options={options(words?.owners)}
            onChoose={(owner) => put({ owner })}
          />
        </ToolbarItem>
        <ToolbarItem>
          <Choice
            label="Pool"
            all="Any pool"
            value={filter.pool}
            options={options(words?.pools)}
            onChoose={(pool) => put({ pool })}
          />
        </ToolbarItem>
      </ToolbarContent>
    </Toolbar>
  );
}

/** What is done to all that fit at once, also those that are not in sight; and what became of it. */
export function AllThatFit({
  draft,
  dispatch,
  planGroup,
  filter,
  total,
  isOld,
}: {
  draft: PlanDraft;
  dispatch: Dispatch<PlanAction>;
  planGroup: number | null;
  filter: Filter;
  total: number;
  isOld: boolean;
}) {
  const client = useQueryClient();
  const [said, setSaid] = useState("");
  const read = useMutation({
    mutationFn: (_then: (found: ChoosableVms) => string) =>
      client.fetchQuery(choosableQuery(draft.homeSite, filter, planGroup)),
    onSuccess: (found, then) => setSaid(then(found)),
    onError: () => setSaid(""),
  });
  const chosenOf = (found: ChoosableVms) => found.items.filter((vm) => draft.members.has(vm.id)).map((vm) => vm.id);
  const choose = (found: ChoosableVms) => {
    dispatch({ type: "choose", vms: found.items });
    return [`${count(found.items.length, "VM")} chosen.`, leftOut(found)].filter(Boolean).join(" ");
  };
  const leave = (found: ChoosableVms) => {
    dispatch({ type: "leave", vmIds: chosenOf(found) });
    return `${count(chosenOf(found).length, "VM")} taken out.`;
  };
  const order = (priority: number) => (found: ChoosableVms) => {
    dispatch({ type: "priority", vmIds: chosenOf(found), priority });
    return `${count(chosenOf(found).length, "VM")} got priority ${priority}.`;
  };
  const busy = isOld || read.isPending;
  return (
    <>
      <div className="dr-actions">
        <Button variant="secondary" isDisabled={busy} isLoading={read.isPending} onClick={() => read.mutate(choose)}>
          Choose all {total} that fit
        </Button>
        <Button variant="secondary" isDisabled={busy || draft.members.size === 0} onClick={() => read.mutate(leave)}>
          Take out all that fit
        </Button>
        <FormSelect
          aria-label="Priority of all chosen that fit"
          className="dr-narrow"
          value=""
          isDisabled={busy || draft.members.size === 0}
          onChange={(_event, value) => value && read.mutate(order(Number(value)))}
        >
          <FormSelectOption value="" label="Priority of all chosen that fit…" />
          {PRIORITIES.map((each) => (
            <FormSelectOption key={each} value={each} label={`Priority ${each}`} />
          ))}
        </FormSelect>
      </div>
      <p role="status">{said}</p>
      <ProblemAlert error={read.error} title="The VMs that fit could not be read" />
    </>
  );
}

/** Why not all that fit were chosen; empty when they were. */
export function leftOut({
  in_other_groups,
  not_protectable,
}: Pick<ChoosableVms, "in_other_groups" | "not_protectable">) {
  const parts = [
    in_other_groups > 0 && `${count(in_other_groups, "VM")} in other groups`,
    not_protectable > 0 && `${count(not_protectable, "VM")} that cannot be protected`,
  ].filter(Boolean);
  return parts.length === 0 ? "" : `Not chosen: ${parts.join(", and ")}.`;
}
