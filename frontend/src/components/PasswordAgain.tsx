import { Button, TextInput } from "@patternfly/react-core";
import { useMutation } from "@tanstack/react-query";
import { useId, useState } from "react";
import { passwordAgain } from "../api/commands";

/** Below the refusal of an act that needs the password again. No form of its own: it often stands within one. */
export function PasswordAgain() {
  const id = useId();
  const [password, setPassword] = useState("");
  const prove = useMutation({ mutationFn: () => passwordAgain(password), onSettled: () => setPassword("") });
  if (prove.isSuccess) return <p role="status">Thank you. Now do it once more.</p>;
  return (
    <div className="dr-stack">
      <label htmlFor={id}>Your password</label>
      <TextInput
        id={id}
        type="password"
        autoComplete="current-password"
        value={password}
        onChange={(_event, value) => setPassword(value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          prove.mutate();
        }}
      />
      <div>
        <Button
          variant="secondary"
          isLoading={prove.isPending}
          isDisabled={prove.isPending || password === ""}
          onClick={() => prove.mutate()}
        >
          Give the password
        </Button>
      </div>
      {prove.error && <p role="alert">{prove.error.message}</p>}
    </div>
  );
}
