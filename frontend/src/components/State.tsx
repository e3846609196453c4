import { Label } from "@patternfly/react-core";
import BanIcon from "@patternfly/react-icons/dist/esm/icons/ban-icon";
import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import ExclamationTriangleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon";
import InProgressIcon from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
import OutlinedCircleIcon from "@patternfly/react-icons/dist/esm/icons/outlined-circle-icon";
import OutlinedQuestionCircleIcon from "@patternfly/react-icons/dist/esm/icons/outlined-question-circle-icon";
import type { ComponentType } from "react";
import { cellWord, readinessWord, runStateWord, severityWord, type Tone, verdictWord, type Word } from "../lib/words";

type Look = {
  icon: ComponentType;
  color: "green" | "red" | "yellow" | "blue" | "grey" | "purple";
};

const LOOKS: Record<Tone, Look> = {
  good: { icon: CheckCircleIcon, color: "green" },
  bad: { icon: ExclamationCircleIcon, color: "red" },
  warn: { icon: ExclamationTriangleIcon, color: "yellow" },
  unsure: { icon: OutlinedQuestionCircleIcon, color: "purple" },
  busy: { icon: InProgressIcon, color: "blue" },
  idle: { icon: OutlinedCircleIcon, color: "grey" },
};

/** Icon and word in a line of text or a table's cell. */
export function StateText({ state, title }: { state: Word; title?: string }) {
  // A plain svg rather than PatternFly's Icon, which wraps two more elements around it: a checklist has thousands.
  const Shape = LOOKS[state.tone].icon;
  return (
    <span className={`dr-state dr-tone-${state.tone}`} title={title}>
      <Shape /> {state.word}
    </span>
  );
}

/** Icon and word as a label, where the state is what the eye should find. */
export function StateLabel({ state, title }: { state: Word; title?: string }) {
  const look = LOOKS[state.tone];
  const Shape = state.word.startsWith("Cancelled") ? BanIcon : look.icon;
  return (
    <Label color={look.color} icon={<Shape />} title={title}>
      {state.word}
    </Label>
  );
}

export const VerdictText = ({ code, title }: { code: string | null | undefined; title?: string }) => (
  <StateText state={verdictWord(code)} title={title} />
);
export const VerdictLabel = ({ code }: { code: string | null | undefined }) => <StateLabel state={verdictWord(code)} />;
export const RunStateLabel = ({ code }: { code: string }) => <StateLabel state={runStateWord(code)} />;
export const ReadinessLabel = ({ code }: { code: string }) => <StateLabel state={readinessWord(code)} />;
export const SeverityText = ({ code }: { code: string }) => <StateText state={severityWord(code)} />;
export const OutcomeText = ({ code }: { code: string }) => <StateText state={cellWord(code)} />;

/** true / false / not known, in words. */
export function YesNo({ value, yes, no }: { value: boolean | null; yes: Word; no: Word }) {
  if (value === null) return <StateText state={{ word: "Cannot tell", tone: "unsure" }} />;
  return <StateText state={value ? yes : no} />;
}
