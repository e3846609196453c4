import { Button } from "@patternfly/react-core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { prove } from "../api/commands";
import type { Proof } from "../api/types";
import { isGiven, ProofField } from "./ProofField";

/** Below the refusal of an act that needs to be shown that it is you. No form of its own: it often stands within one. */
export function ProofAgain() {
  const [proof, setProof] = useState<Proof | null>(null);
  const give = useMutation({ mutationFn: (given: Proof) => prove(given), onSettled: () => setProof(null) });
  const submit = () => {
    if (isGiven(proof)) give.mutate(proof);
  };
  if (give.isSuccess) return <p role="status">Thank you. Now do it once more.</p>;
  // A fresh sign-in at the identity provider has done it already: nothing is left to be given here.
  const typed = proof !== null && Object.keys(proof).length > 0;
  return (
    <div className="dr-stack">
      <ProofField label="Your password" proof={proof} onProof={setProof} onEnter={submit} />
      {typed && (
        <div>
          <Button variant="secondary" isLoading={give.isPending} isDisabled={give.isPending} onClick={submit}>
            {proof?.code !== undefined ? "Give the code" : proof?.key ? "Give the key's answer" : "Give the password"}
          </Button>
        </div>
      )}
      {give.error && <p role="alert">{give.error.message}</p>}
    </div>
  );
}
