import { Content, Label, Title } from "@patternfly/react-core";
import ExclamationTriangleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon";
import type { UseQueryResult } from "@tanstack/react-query";
import { type Dispatch, useMemo } from "react";
import type { Preview, PreviewStep } from "../../api/types";
import { Command, CopyButton } from "../../components/Command";
import { Fold } from "../../components/Fold";
import { Loaded } from "../../components/Loaded";
import { useSiteName, useSitesNamed } from "../../lib/siteName";
import { count, wayWords } from "../../lib/words";
import type { MoveAction, Salvage } from "./moveReducer";
import { SalvageChoice } from "./SalvageChoice";

/** Above this many steps the VMs start folded. */
const FOLD_FROM = 40;

/** Everything that will run, byte for byte, per VM and in order. */
export function CommandsStep({
  query,
  salvage,
  dispatch,
}: {
  query: UseQueryResult<Preview, Error>;
  salvage: Salvage;
  dispatch: Dispatch<MoveAction>;
}) {
  return (
    <Loaded query={query} what="The commands">
      {(preview) => (
        <div className="dr-stack">
          <SalvageChoice preview={preview} chosen={salvage} dispatch={dispatch} />
          <Commands preview={preview} />
        </div>
      )}
    </Loaded>
  );
}

function Commands({ preview: given }: { preview: Preview }) {
  const preview = useSitesNamed(given);
  const perVm = useMemo(() => byVm(preview.steps), [preview.steps]);
  const everything = preview.steps.flatMap((step) => step.commands).join("\n");
  return (
    <div className="dr-stack">
      <Title headingLevel="h2">
        {count(preview.steps.length, "step")}: {wayWords(preview)}
      </Title>
      <Content component="p">
        This is what runs, byte for byte. A step begins when the steps it needs are done and its gates are met; each
        first looks whether its work is done already. Copy everything:
        <CopyButton text={everything} label="Copy all commands" />
      </Content>
      {[...perVm].map(([vm, steps]) => (
        <Fold key={vm} head={`${vm}: ${count(steps.length, "step")}`} open={preview.steps.length <= FOLD_FROM}>
          <ol>
            {steps.map((step) => (
              <StepCommands key={step.key} step={step} />
            ))}
          </ol>
        </Fold>
      ))}
    </div>
  );
}

function StepCommands({ step }: { step: PreviewStep }) {
  const name = useSiteName();
  return (
    <li>
      <strong>{step.title}</strong> {step.subject} at {name(step.site)}{" "}
      {step.destructive && (
        <Label color="orange" icon={<ExclamationTriangleIcon />} isCompact>
          Destructive
        </Label>
      )}
      {step.gates.length > 0 && <span className="dr-quiet"> gates: {step.gates.join(", ")}</span>}
      {step.commands.map((command) => (
        <Command key={command} text={command} />
      ))}
    </li>
  );
}

/** In the order in which the VMs first appear. (Map.groupBy is too new for the browsers of a machine room.) */
function byVm(steps: PreviewStep[]): Map<string, PreviewStep[]> {
  const groups = new Map<string, PreviewStep[]>();
  for (const step of steps) {
    const known = groups.get(step.vm_name);
    if (known) known.push(step);
    else groups.set(step.vm_name, [step]);
  }
  return groups;
}
