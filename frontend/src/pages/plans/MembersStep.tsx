import { Checkbox, FormSelect, FormSelectOption, SearchInput } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { UseQueryResult } from "@tanstack/react-query";
import { type Dispatch, useState } from "react";
import type { Vm } from "../../api/types";
import { Empty, Loaded } from "../../components/Loaded";
import { VerdictText } from "../../components/State";
import { count } from "../../lib/words";
import { DEFAULT_PRIORITY, type PlanAction, type PlanDraft } from "./planReducer";

const PRIORITIES = [1, 2, 3, 4, 5];

/** Which VMs, and in which order they start. */
export function MembersStep({
  query,
  draft,
  dispatch,
  planGroup,
}: {
  query: UseQueryResult<{ items: Vm[] }, Error>;
  draft: PlanDraft;
  dispatch: Dispatch<PlanAction>;
  planGroup: number | null;
}) {
  const [search, setSearch] = useState("");
  return (
    <Loaded query={query} what="The VMs">
      {({ items }) => {
        const shown = items.filter(
          (vm) => !vm.copy_of && !vm.gone_at && vm.name.toLowerCase().includes(search.toLowerCase()),
        );
        return (
          <div className="dr-stack">
            <p>
              {count(draft.priorities.size, "VM")} chosen. Priority 1 starts first and stops last; VMs of the same
              priority move at the same time.
            </p>
            <SearchInput
              aria-label="Find a VM"
              placeholder="Find a VM"
              value={search}
              onChange={(_event, text) => setSearch(text)}
              onClear={() => setSearch("")}
            />
            {shown.length === 0 ? (
              <Empty title="No VM here">Discover the pair first, or change the search.</Empty>
            ) : (
              <Table aria-label="VMs to choose from" variant="compact">
                <Thead>
                  <Tr>
                    <Th>Together</Th>
                    <Th>Priority</Th>
                    <Th>State</Th>
                    <Th>Disks</Th>
                    <Th modifier="wrap">Can it be protected?</Th>
                  </Tr>
                </Thead>
                <Tbody>
                  {shown.map((vm) => (
                    <MemberRow key={vm.id} vm={vm} draft={draft} dispatch={dispatch} planGroup={planGroup} />
                  ))}
                </Tbody>
              </Table>
            )}
          </div>
        );
      }}
    </Loaded>
  );
}

function MemberRow({
  vm,
  draft,
  dispatch,
  planGroup,
}: {
  vm: Vm;
  draft: PlanDraft;
  dispatch: Dispatch<PlanAction>;
  planGroup: number | null;
}) {
  const priority = draft.priorities.get(vm.id);
  const elsewhere = vm.group !== null && vm.group.id !== planGroup;
  const reasons = elsewhere ? [`It is in the group ${vm.group?.name} already.`] : vm.why_not;
  const possible = !elsewhere && vm.protectable;
  return (
    <Tr>
      <Td dataLabel="Together">
        <Checkbox
          id={`member-${vm.id}`}
          label={vm.name}
          isChecked={priority !== undefined}
          isDisabled={!possible && priority === undefined}
          onChange={(_event, isMember) => dispatch({ type: "member", vmId: vm.id, isMember })}
        />
      </Td>
      <Td dataLabel="Priority">
        <FormSelect
          aria-label={`Priority of ${vm.name}`}
          value={priority ?? DEFAULT_PRIORITY}
          isDisabled={priority === undefined}
          onChange={(_event, value) => dispatch({ type: "priority", vmId: vm.id, priority: Number(value) })}
        >
          {PRIORITIES.map((each) => (
            <FormSelectOption key={each} value={each} label={String(each)} />
          ))}
        </FormSelect>
      </Td>
      <Td dataLabel="State">{vm.state_word}</Td>
      <Td dataLabel="Disks">
        {vm.disks.map((disk) => (
          <div key={disk.disk_id}>
            {disk.source} {disk.image_id === null ? "not mirrored" : <VerdictText code={disk.verdict} />}
          </div>
        ))}
      </Td>
      <Td dataLabel="Can it be protected?">{possible ? "yes" : `No. ${reasons.join(" ")}`}</Td>
    </Tr>
  );
}
