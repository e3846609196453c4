import {
  ActionGroup,
  Alert,
  Button,
  Card,
  CardBody,
  CardTitle,
  Content,
  Form,
  FormGroup,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { signIn, toProvider } from "../../api/commands";
import { sessionQuery } from "../../api/queries";
import type { DemoLogin, Session } from "../../api/types";
import { ThemeToggle } from "../../components/AppShell";
import { ProblemAlert } from "../../components/Loaded";
import mark from "../../mark.svg";
import { SecondStep } from "./SecondStep";

export function SignInPage({ session }: { session: Session }) {
  const client = useQueryClient();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const enter = useMutation({
    mutationFn: (who: { username: string; password: string }) => signIn(who.username, who.password),
    onSuccess: (signedIn) => client.setQueryData(sessionQuery.queryKey, signedIn),
  });
  useEffect(() => {
    document.title = "Sign in · DR Portal";
  }, []);
  return (
    <main className="dr-signin dr-stack">
      <div className="dr-brand">
        <img src={mark} alt="" /> DR Portal
      </div>
      {session.refusal && (
        <Alert variant="danger" isInline component="h2" title="You are not signed in" role="alert">
          <p>{session.refusal}</p>
        </Alert>
      )}
      {session.second_factor ? (
        <SecondStep waiting={session.second_factor} />
      ) : (
        <>
          {session.oidc !== null && <ByProvider name={session.oidc} />}
          <Card>
            <CardTitle component="h1">{session.oidc === null ? "Sign in" : "Sign in with a password"}</CardTitle>
            <CardBody>
              <Form
                onSubmit={(event) => {
                  event.preventDefault();
                  enter.mutate({ username, password });
                }}
              >
                <ProblemAlert error={enter.error} title="You are not signed in" />
                <FormGroup label="User name" isRequired fieldId="username">
                  <TextInput
                    id="username"
                    isRequired
                    value={username}
                    autoComplete="username"
                    onChange={(_event, value) => setUsername(value)}
                  />
                </FormGroup>
                <FormGroup label="Password" isRequired fieldId="password">
                  <TextInput
                    id="password"
                    type="password"
                    isRequired
                    value={password}
                    autoComplete="current-password"
                    onChange={(_event, value) => setPassword(value)}
                  />
                </FormGroup>
                <ActionGroup>
                  <Button
                    type="submit"
                    isLoading={enter.isPending}
                    isDisabled={enter.isPending || !username || !password}
                  >
                    Sign in
                  </Button>
                </ActionGroup>
              </Form>
            </CardBody>
          </Card>
          {session.demo_logins.length > 0 && (
            <DemoLogins logins={session.demo_logins} busy={enter.isPending} onChoose={(login) => enter.mutate(login)} />
          )}
        </>
      )}
      <ThemeToggle />
      <Content component="small">DR Portal {session.version}</Content>
    </main>
  );
}

function ByProvider({ name }: { name: string }) {
  const go = useMutation({
    mutationFn: () => toProvider(window.location.pathname + window.location.search, false),
    onSuccess: ({ address }) => window.location.assign(address),
  });
  return (
    <Card>
      <CardBody className="dr-stack">
        <ProblemAlert error={go.error} title="You are not signed in" />
        <Button isBlock isLoading={go.isPending} isDisabled={go.isPending} onClick={() => go.mutate()}>
          {`Sign in with ${name}`}
        </Button>
        <p className="dr-quiet">
          When {name} is down, the portal's own accounts still come in below: the password kept for an emergency does
          not need it.
        </p>
      </CardBody>
    </Card>
  );
}

function DemoLogins({
  logins,
  busy,
  onChoose,
}: {
  logins: DemoLogin[];
  busy: boolean;
  onChoose: (login: DemoLogin) => void;
}) {
  return (
    <Card isCompact>
      <CardTitle component="h2">This is a demo. Come in as…</CardTitle>
      <CardBody>
        <ul className="dr-stack">
          {logins.map((login) => (
            <li key={login.username}>
              <Button variant="secondary" size="sm" isDisabled={busy} onClick={() => onChoose(login)}>
                {login.role}
              </Button>{" "}
              <span className="dr-mono">
                {login.username} / {login.password}
              </span>
            </li>
          ))}
        </ul>
      </CardBody>
    </Card>
  );
}
