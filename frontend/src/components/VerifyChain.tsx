import { Alert, Button } from "@patternfly/react-core";
import { useMutation } from "@tanstack/react-query";
import { trailVerify } from "../api/commands";
import { count } from "../lib/words";
import { ProblemAlert } from "./Loaded";

/** A walk along the whole chain, now. */
export function VerifyChain() {
  const verify = useMutation({ mutationFn: trailVerify });
  return (
    <>
      <Button
        variant="secondary"
        isLoading={verify.isPending}
        isDisabled={verify.isPending}
        onClick={() => verify.mutate()}
      >
        Verify the whole chain now
      </Button>
      <ProblemAlert error={verify.error} />
      {verify.data && (
        <Alert
          variant={verify.data.ok ? "success" : "danger"}
          isInline
          isLiveRegion
          component="h3"
          title={
            verify.data.ok
              ? `The chain holds: ${count(verify.data.entries, "entry", "entries")}`
              : "The chain is broken"
          }
        >
          <p>{verify.data.sentence}</p>
          <p>
            {verify.data.anchors === 0
              ? "Note the head outside the portal: only that shows a tail that was cut off."
              : `Held against ${count(verify.data.anchors, "head that was noted", "heads that were noted")}.`}
          </p>
        </Alert>
      )}
    </>
  );
}
