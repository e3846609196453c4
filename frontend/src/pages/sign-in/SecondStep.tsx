import { ActionGroup, Button, Card, CardBody, CardTitle, Form, FormGroup, TextInput } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { keyChallenge, secondFactor, signOut } from "../../api/commands";
import { sessionQuery } from "../../api/queries";
import type { Proof, SecondFactor } from "../../api/types";
import { ProblemAlert } from "../../components/Loaded";
import { keyAnswer } from "../../lib/securityKey";

/** The second factor of somebody who has given the password. */
export function SecondStep({ waiting }: { waiting: SecondFactor }) {
  const client = useQueryClient();
  const [code, setCode] = useState("");
  const asksAgain = () => client.invalidateQueries({ queryKey: sessionQuery.queryKey });
  const enter = useMutation({
    mutationFn: async (proof: Proof | "key") =>
      secondFactor(proof === "key" ? { key: await keyAnswer((await keyChallenge()).public_key) } : proof),
    onSuccess: (signedIn) => client.setQueryData(sessionQuery.queryKey, signedIn),
    onError: () => setCode(""),
  });
  const back = useMutation({ mutationFn: signOut, onSettled: asksAgain });
  const byKey = waiting.ways.includes("key");
  return (
    <Card>
      <CardTitle component="h1">Second factor of {waiting.username}</CardTitle>
      <CardBody>
        <Form
          onSubmit={(event) => {
            event.preventDefault();
            enter.mutate({ code });
          }}
        >
          <ProblemAlert error={enter.error} title="You are not signed in" />
          {byKey && (
            <div>
              <Button isDisabled={enter.isPending} onClick={() => enter.mutate("key")}>
                Use your security key
              </Button>
            </div>
          )}
          {waiting.ways.includes("code") && (
            <FormGroup label="A code of your app, or a recovery code" fieldId="second-code">
              <TextInput
                id="second-code"
                value={code}
                inputMode="numeric"
                autoComplete="one-time-code"
                maxLength={40}
                onChange={(_event, value) => setCode(value)}
              />
            </FormGroup>
          )}
          <ActionGroup>
            {waiting.ways.includes("code") && (
              <Button
                type="submit"
                variant={byKey ? "secondary" : "primary"}
                isLoading={enter.isPending}
                isDisabled={enter.isPending || !code.trim()}
              >
                Sign in
              </Button>
            )}
            <Button variant="link" onClick={() => back.mutate()}>
              Begin again
            </Button>
          </ActionGroup>
        </Form>
      </CardBody>
    </Card>
  );
}
