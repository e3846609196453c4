import { Button, Card, CardBody, CardTitle, Form, FormGroup, TextInput } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { passwordChange } from "../../api/commands";
import { ProblemAlert } from "../../components/Loaded";
import { useMe } from "../../lib/may";
import { count } from "../../lib/words";

const EMPTY = { password: "", new_password: "", again: "" };

/** Another password for oneself; who signs in at the identity provider alone has none here. */
export function PasswordCard() {
  return useMe().proofs.includes("password") ? <TheCard /> : null;
}

function TheCard() {
  const client = useQueryClient();
  const [typed, setTyped] = useState(EMPTY);
  const change = useMutation({
    mutationFn: () => passwordChange(typed.password, typed.new_password),
    onSuccess: async () => {
      setTyped(EMPTY);
      await client.invalidateQueries({ queryKey: ["sessions"] });
    },
  });
  const field = (key: keyof typeof EMPTY, label: string, autoComplete: string) => (
    <FormGroup label={label} fieldId={`password-${key}`}>
      <TextInput
        id={`password-${key}`}
        type="password"
        autoComplete={autoComplete}
        value={typed[key]}
        onChange={(_event, value) => setTyped((was) => ({ ...was, [key]: value }))}
      />
    </FormGroup>
  );
  const differ = typed.again !== "" && typed.again !== typed.new_password;
  const ready = typed.password !== "" && typed.new_password !== "" && typed.again === typed.new_password;
  return (
    <Card>
      <CardTitle component="h2">Password</CardTitle>
      <CardBody className="dr-stack">
        <p>Nobody else should know it, whoever set it first. When it changes, your other sessions end; tokens go on.</p>
        <Form
          isWidthLimited
          onSubmit={(event) => {
            event.preventDefault();
            if (ready) change.mutate();
          }}
        >
          {field("password", "The password that you have", "current-password")}
          {field("new_password", "The new one", "new-password")}
          {field("again", "The new one again", "new-password")}
          {differ && <p role="alert">The two new ones differ.</p>}
          <div className="dr-actions">
            <Button type="submit" variant="secondary" isDisabled={!ready || change.isPending}>
              Change the password
            </Button>
          </div>
        </Form>
        <ProblemAlert error={change.error} />
        {change.isSuccess && (
          <p role="status">
            It was changed. {count(change.data.sessions_ended, "other session")} ended. If somebody else knew it, look
            at your tokens, too.
          </p>
        )}
      </CardBody>
    </Card>
  );
}
