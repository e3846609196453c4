import { Checkbox, FormSelect, FormSelectOption, ToggleGroup, ToggleGroupItem } from "@patternfly/react-core";
import { type Dispatch, useMemo, useState } from "react";
import { useFirstPage } from "../../api/pages";
import { type VmFilter, vmPages } from "../../api/queries";
import type { Vm } from "../../api/types";
import { type BigColumn, BigTable, WholeTable } from "../../components/BigTable";
import { Empty, Loaded, ProblemAlert } from "../../components/Loaded";
import { count } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { Disks } from "./Disks";
import {
  type Choice,
  DEFAULT_PRIORITY,
  inOrder,
  type Member,
  type PlanAction,
  type PlanDraft,
  PRIORITIES,
  tooMany,
} from "./planReducer";
import { AllThatFit, ANY_VM, VmChoices } from "./VmChoices";

const ROW_PX = 48;

type Props = { draft: PlanDraft; dispatch: Dispatch<PlanAction>; planGroup: number | null };

/** Which VMs, and in which order they start: of a cloud of any size, some by name or all that fit at once. */
export function MembersStep(props: Props) {
  const [onlyChosen, setOnlyChosen] = useState(false);
  const chosen = props.draft.members.size;
  return (
    <div className="dr-stack">
      <p role="status">
        <strong>{count(chosen, "VM")} chosen.</strong> Priority 1 starts first and stops last; VMs of the same priority
        move at the same time.
      </p>
      <ProblemAlert error={tooMany(chosen) || null} title="These are too many for one plan" />
      <ToggleGroup aria-label="Which VMs are shown">
        <ToggleGroupItem
          text={`All of ${props.draft.homeSite}`}
          buttonId="vms-all"
          isSelected={!onlyChosen}
          onChange={() => setOnlyChosen(false)}
        />
        <ToggleGroupItem
          text={`Chosen (${chosen})`}
          buttonId="vms-chosen"
          isSelected={onlyChosen}
          onChange={() => setOnlyChosen(true)}
        />
      </ToggleGroup>
      {onlyChosen ? <Chosen {...props} /> : <ToChooseFrom {...props} />}
    </div>
  );
}

function Chosen({ draft, dispatch }: Props) {
  const rows = useMemo(() => inOrder(draft.members), [draft.members]);
  const columns = useMemo<BigColumn<Member>[]>(
    () => [
      { title: "Together", rem: 20, cell: (vm) => <Together vm={vm} draft={draft} dispatch={dispatch} /> },
      { title: "Priority", rem: 8, cell: (vm) => <Priority vm={vm} draft={draft} dispatch={dispatch} /> },
    ],
    [draft, dispatch],
  );
  if (rows.length === 0) return <Empty title="No VM is chosen yet" />;
  return <WholeTable label="Chosen VMs" noun="VM" rows={rows} columns={columns} rowPx={ROW_PX} grows />;
}

function ToChooseFrom({ draft, dispatch, planGroup }: Props) {
  const [filter, setFilter] = useState<Required<VmFilter>>({
    ...ANY_VM,
    protection: planGroup === null ? "no_group" : "",
  });
  const pages = useMemo(() => vmPages(draft.homeSite, filter), [draft.homeSite, filter]);
  const interval_ms = useLive(["sites"]);
  const query = useFirstPage(pages, interval_ms);
  const columns = useMemo<BigColumn<Vm>[]>(() => {
    const reasons = (vm: Vm) => whyNot(vm, planGroup);
    return [
      {
        title: "Together",
        rem: 11,
        cell: (vm) => <Together vm={vm} draft={draft} dispatch={dispatch} isPossible={reasons(vm).length === 0} />,
      },
      { title: "Priority", rem: 6, cell: (vm) => <Priority vm={vm} draft={draft} dispatch={dispatch} /> },
      { title: "State", rem: 8, cell: (vm) => (vm.gone_at ? "gone" : vm.state_word) },
      { title: "Disks", rem: 14, cell: (vm) => <Disks vm={vm} /> },
      { title: "Can it be protected?", rem: 12, cell: (vm) => answerOf(reasons(vm)) },
    ];
  }, [draft, dispatch, planGroup]);
  return (
    <>
      <VmChoices site={draft.homeSite} filter={filter} counts={query.data?.counts ?? {}} onChange={setFilter} />
      <Loaded query={query} what="The VMs">
        {(first) =>
          first.total === 0 ? (
            <Empty title="No VM fits">Change the filter, or discover the pair first.</Empty>
          ) : (
            <>
              <AllThatFit
                draft={draft}
                dispatch={dispatch}
                planGroup={planGroup}
                filter={filter}
                total={first.total}
                isOld={query.isPlaceholderData}
              />
              <BigTable
                label="VMs to choose from"
                noun="VM"
                pages={pages}
                first={first}
                isOld={query.isPlaceholderData}
                interval_ms={interval_ms}
                columns={columns}
                rowPx={ROW_PX}
                grows
              />
            </>
          )
        }
      </Loaded>
    </>
  );
}

/** Empty when it can be in the group of this plan (null: one that is to be made). */
function whyNot(vm: Vm, planGroup: number | null): string[] {
  if (vm.group !== null && vm.group.id !== planGroup) return [`It is in the group ${vm.group.name} already.`];
  return vm.protectable ? [] : vm.why_not;
}

const answerOf = (reasons: string[]) => (reasons.length === 0 ? "yes" : `No. ${reasons.join(" ")}`);

type CellProps = { vm: Choice; draft: PlanDraft; dispatch: Dispatch<PlanAction> };

function Together({ vm, draft, dispatch, isPossible = true }: CellProps & { isPossible?: boolean }) {
  const isMember = draft.members.has(vm.id);
  return (
    <Checkbox
      id={`member-${vm.id}`}
      label={vm.name}
      isChecked={isMember}
      isDisabled={!isPossible && !isMember}
      onChange={(_event, wanted) =>
        dispatch(wanted ? { type: "choose", vms: [vm] } : { type: "leave", vmIds: [vm.id] })
      }
    />
  );
}

function Priority({ vm, draft, dispatch }: CellProps) {
  const priority = draft.members.get(vm.id)?.priority;
  return (
    <FormSelect
      aria-label={`Priority of ${vm.name}`}
      value={priority ?? DEFAULT_PRIORITY}
      isDisabled={priority === undefined}
      onChange={(_event, value) => dispatch({ type: "priority", vmIds: [vm.id], priority: Number(value) })}
    >
      {PRIORITIES.map((each) => (
        <FormSelectOption key={each} value={each} label={String(each)} />
      ))}
    </FormSelect>
  );
}
