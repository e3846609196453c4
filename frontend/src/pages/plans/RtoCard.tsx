import { Button, Card, CardBody, CardTitle, Flex } from "@patternfly/react-core";
import { useState } from "react";
import { rtoTargetSet } from "../../api/commands";
import type { Plan } from "../../api/types";
import { TargetDialog } from "../../components/TargetDialog";
import { useMay } from "../../lib/may";
import { elapsedWords } from "../../lib/time";

/** How long the service may be away, as agreed. What runs really take is in the reports. */
export function RtoCard({ plan }: { plan: Plan }) {
  const [open, setOpen] = useState(false);
  const { may } = useMay("plan", { plan: plan.id });
  return (
    <Card>
      <CardTitle component="h2">RTO target</CardTitle>
      <CardBody>
        <Flex>
          <span>
            {plan.rto_s === null
              ? "Nothing is agreed: the time until the VMs run again is held against nothing."
              : `The VMs are to run again within ${elapsedWords(plan.rto_s)} (${plan.rto_s} s).`}
          </span>
          {may && (
            <Button variant="secondary" onClick={() => setOpen(true)}>
              {plan.rto_s === null ? "Set a target" : "Change the target"}
            </Button>
          )}
        </Flex>
      </CardBody>
      {open && (
        <TargetDialog
          title={`RTO target of ${plan.name}`}
          help="How long the service may be away, as agreed; blank for nothing agreed. It stops no run: what it took is held against it."
          target_s={plan.rto_s}
          save={(seconds) => rtoTargetSet(plan.id, seconds)}
          changes={["plan"]}
          onClose={() => setOpen(false)}
        />
      )}
    </Card>
  );
}
