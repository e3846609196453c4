import { Button, FormGroup, TextInput } from "@patternfly/react-core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";
import { keyChallenge, toProvider } from "../api/commands";
import { sessionQuery } from "../api/queries";
import type { Proof } from "../api/types";
import { useMe } from "../lib/may";
import { keyAnswer } from "../lib/securityKey";

const INSTEAD: Record<string, string> = {
  password: "your password",
  code: "a code",
  key: "a security key",
  oidc: "a sign-in at the identity provider",
};

/** Whether something was given; a fresh sign-in at the identity provider is known to the server alone. */
export const isGiven = (proof: Proof | null): proof is Proof => proof !== null;

/**
 * That it is you: by the password, a code, a security key or a fresh sign-in, as far as the person has them.
 * `label`: of the field for the password. `onEnter`: the key of that name was pressed in a field.
 */
export function ProofField({
  label,
  proof,
  onProof,
  onEnter,
}: {
  label: string;
  proof: Proof | null;
  onProof: (proof: Proof | null) => void;
  onEnter?: () => void;
}) {
  const { proofs } = useMe();
  const [way, setWay] = useState(proofs[0] ?? "password");
  const choose = (each: string) => {
    setWay(each);
    onProof(each === "oidc" ? {} : null);
  };
  return (
    <div className="dr-stack">
      {way === "password" && <Typed label={label} kind="password" proof={proof} onProof={onProof} onEnter={onEnter} />}
      {way === "code" && (
        <Typed
          label="A code of your app, or a recovery code"
          kind="code"
          proof={proof}
          onProof={onProof}
          onEnter={onEnter}
        />
      )}
      {way === "key" && <Key proof={proof} onProof={onProof} />}
      {way === "oidc" && <Provider onReady={() => onProof({})} isReady={isGiven(proof)} />}
      {proofs.length > 1 && (
        <p>
          {proofs
            .filter((each) => each !== way)
            .map((each) => (
              <Button key={each} variant="link" isInline onClick={() => choose(each)}>
                {`Give ${INSTEAD[each] ?? each} instead`}
              </Button>
            ))
            .flatMap((button, at) => (at ? [" · ", button] : [button]))}
        </p>
      )}
    </div>
  );
}

function Typed({
  label,
  kind,
  proof,
  onProof,
  onEnter,
}: {
  label: string;
  kind: "password" | "code";
  proof: Proof | null;
  onProof: (proof: Proof | null) => void;
  onEnter: (() => void) | undefined;
}) {
  const id = useId();
  return (
    <FormGroup label={label} fieldId={id}>
      <TextInput
        id={id}
        type={kind === "password" ? "password" : "text"}
        inputMode={kind === "code" ? "numeric" : "text"}
        autoComplete={kind === "password" ? "current-password" : "one-time-code"}
        value={proof?.[kind] ?? ""}
        onChange={(_event, value) => onProof(value === "" ? null : { [kind]: value })}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !onEnter) return;
          event.preventDefault();
          onEnter();
        }}
      />
    </FormGroup>
  );
}

function Key({ proof, onProof }: { proof: Proof | null; onProof: (proof: Proof | null) => void }) {
  const ask = useMutation({
    mutationFn: async () => keyAnswer((await keyChallenge()).public_key),
    onSuccess: (key) => onProof({ key }),
    onError: () => onProof(null),
  });
  return (
    <>
      {isGiven(proof) ? (
        <p role="status">Your key has answered.</p>
      ) : (
        <Button variant="secondary" isLoading={ask.isPending} isDisabled={ask.isPending} onClick={() => ask.mutate()}>
          Use your security key
        </Button>
      )}
      {ask.error && <p role="alert">{ask.error.message}</p>}
    </>
  );
}

/** The way there leaves this page; back on it, what was shown there counts for a few minutes. */
function Provider({ onReady, isReady }: { onReady: () => void; isReady: boolean }) {
  const { data: session } = useQuery(sessionQuery);
  const go = useMutation({
    mutationFn: () => toProvider(window.location.pathname + window.location.search, true),
    onSuccess: ({ address }) => window.location.assign(address),
  });
  return (
    <>
      {session?.refusal && <p role="alert">{session.refusal}</p>}
      <div className="dr-actions">
        <Button variant="secondary" isLoading={go.isPending} isDisabled={go.isPending} onClick={() => go.mutate()}>
          {`Sign in with ${session?.oidc ?? "the identity provider"} again`}
        </Button>
        {!isReady && (
          <Button variant="link" onClick={onReady}>
            I have just done so
          </Button>
        )}
      </div>
      {isReady && <p>If you have signed in there again within the last minutes, go on.</p>}
      {go.error && <p role="alert">{go.error.message}</p>}
    </>
  );
}
