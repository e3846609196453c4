import { FormSelect, FormSelectOption, PageSection, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { runChoose } from "../../api/commands";
import { consequencesQuery } from "../../api/queries";
import type { Console, ConsoleVm, Run } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { Fold } from "../../components/Fold";
import { ReasonDialog } from "../../components/ReasonDialog";
import { StateText } from "../../components/State";
import { useMay } from "../../lib/may";
import { count, partWord } from "../../lib/words";
import { chosenAtFirst, type Offer, offers, troubled, upToWords } from "./choices";

/** Of a run that rests with work left: how far each VM has come, and how it shall go on. */
export function RunConsole({ run, console }: { run: Run; console: Console }) {
  const [picked, setPicked] = useState<ReadonlySet<string> | null>(null);
  const [upTo, setUpTo] = useState<number | null>(null);
  const [asking, setAsking] = useState<Offer["choice"] | null>(null);
  const { whyNot } = useMay("run", { plan: run.plan.id });
  const chosen = picked ?? chosenAtFirst(console.vms);
  const bound = upTo ?? console.priorities[0] ?? null;
  const offered = offers(console, chosen, bound);
  const asked = offered.find((each) => each.choice === asking);
  const first = troubled(console.vms);
  const rest = console.vms.filter((vm) => vm.part === "waiting");
  const pick = (vm: ConsoleVm, on: boolean) => {
    const next = new Set(chosen);
    if (on) next.add(vm.key);
    else next.delete(vm.key);
    setPicked(next);
  };
  return (
    <PageSection className="dr-stack">
      <Title headingLevel="h2">What is left, and how it goes on</Title>
      <p>
        {count(console.done, "VM is", "VMs are")} done. {count(console.vms.length, "VM is", "VMs are")} not. Nothing
        moves while you decide.
      </p>
      {first.length > 0 && <Vms label="VMs in trouble or on hold" vms={first} chosen={chosen} onPick={pick} />}
      {rest.length > 0 && (
        <Fold head={`${count(rest.length, "VM")} whose turn has not come`} open={first.length === 0}>
          <Vms label="VMs whose turn has not come" vms={rest} chosen={chosen} onPick={pick} />
        </Fold>
      )}
      <div className="dr-actions">
        {offered.map((each) => (
          <ActButton
            key={each.choice}
            variant={each.choice === "retry" ? "primary" : "secondary"}
            isDanger={each.choice === "stop"}
            whyNot={whyNot || each.whyNot}
            onClick={() => setAsking(each.choice)}
          >
            {each.button}
          </ActButton>
        ))}
        {console.priorities.length > 1 && (
          <FormSelect
            aria-label="Critical are VMs of"
            style={{ width: "auto" }}
            value={String(bound)}
            onChange={(_event, value) => setUpTo(Number(value))}
          >
            {console.priorities.map((priority) => (
              <FormSelectOption key={priority} value={String(priority)} label={upToWords(priority)} />
            ))}
          </FormSelect>
        )}
      </div>
      {asked && <Ask key={asked.choice} run={run} offer={asked} onClose={() => setAsking(null)} />}
    </PageSection>
  );
}

function Vms({
  label,
  vms,
  chosen,
  onPick,
}: {
  label: string;
  vms: ConsoleVm[];
  chosen: ReadonlySet<string>;
  onPick: (vm: ConsoleVm, on: boolean) => void;
}) {
  return (
    <Table aria-label={label} variant="compact">
      <Thead>
        <Tr>
          <Th screenReaderText="Choose" />
          <Th>VM</Th>
          <Th>Priority</Th>
          <Th>How far it has come</Th>
          <Th>Why</Th>
        </Tr>
      </Thead>
      <Tbody>
        {vms.map((vm) => (
          <Tr key={vm.key}>
            <Td>
              <input
                type="checkbox"
                aria-label={`Choose ${vm.name}`}
                checked={chosen.has(vm.key)}
                onChange={(event) => onPick(vm, event.target.checked)}
              />
            </Td>
            <Td dataLabel="VM">{vm.name}</Td>
            <Td dataLabel="Priority">{vm.priority}</Td>
            <Td dataLabel="How far it has come">
              <StateText state={partWord(vm.part)} />
            </Td>
            <Td dataLabel="Why">{vm.trouble}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

/** What follows is the portal's word on the run as it is now; a choice by an older page is refused there. */
function Ask({ run, offer, onClose }: { run: Run; offer: Offer; onClose: () => void }) {
  const client = useQueryClient();
  const follows = useQuery(consequencesQuery(run.id, run.version, offer.wanted));
  const send = useMutation({
    mutationFn: (reason: string) => runChoose(run.id, run.version, offer.wanted, reason),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["run", run.id] });
      onClose();
    },
  });
  return (
    <ReasonDialog
      title={`${offer.button}?`}
      consequences={follows.data?.consequences ?? []}
      button={offer.choice === "stop" ? `Stop run ${run.id}` : offer.button}
      danger={offer.choice === "stop"}
      whyNot={follows.data ? "" : "What follows from it is being read."}
      busy={send.isPending}
      error={send.error ?? follows.error}
      onConfirm={(reason) => send.mutate(reason)}
      onClose={onClose}
    />
  );
}
