import { ExpandableSection } from "@patternfly/react-core";
import { type ReactNode, useId, useState } from "react";

/** A part that can be folded away; what is folded is not drawn. */
export function Fold({ head, open = false, children }: { head: ReactNode; open?: boolean; children: ReactNode }) {
  const [isOpen, setOpen] = useState(open);
  const id = useId();
  return (
    <ExpandableSection
      toggleContent={head}
      toggleId={`${id}-toggle`}
      contentId={`${id}-content`}
      isExpanded={isOpen}
      onToggle={(_event, expanded) => setOpen(expanded)}
      isIndented
    >
      {isOpen && children}
    </ExpandableSection>
  );
}
