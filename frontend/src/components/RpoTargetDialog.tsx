import { rpoTargetSet } from "../api/commands";
import { TargetDialog } from "./TargetDialog";

/** What was agreed for a group. */
export function RpoTargetDialog({
  group,
  target_s,
  onClose,
}: {
  group: number;
  target_s: number | null;
  onClose: () => void;
}) {
  return (
    <TargetDialog
      title="RPO target of the group"
      help="How much may be lost, as agreed; blank for nothing agreed. It stops no run: exposure is held against it."
      target_s={target_s}
      save={(seconds) => rpoTargetSet(group, seconds)}
      changes={["pair", "exposure"]}
      onClose={onClose}
    />
  );
}
