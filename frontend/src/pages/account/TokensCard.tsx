import {
  ActionGroup,
  Alert,
  Button,
  Card,
  CardBody,
  CardTitle,
  Checkbox,
  Form,
  FormGroup,
  FormSelect,
  FormSelectOption,
  TextInput,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { tokenCreate, tokenDelete } from "../../api/commands";
import { tokensQuery } from "../../api/queries";
import type { Token } from "../../api/types";
import { Command } from "../../components/Command";
import { Empty, Loaded, ProblemAlert } from "../../components/Loaded";
import { StateText } from "../../components/State";
import { Age, Time } from "../../components/Time";
import { useNow } from "../../lib/clock";
import { useMe } from "../../lib/may";

/** Tokens for programs: what each may, until when, and when it was last used. */
export function TokensCard() {
  const query = useQuery(tokensQuery);
  return (
    <Card>
      <CardTitle component="h2">Tokens for programs</CardTitle>
      <CardBody className="dr-stack">
        <p>
          A token may do what is ticked for it, as long as you may do it. It is sent as “Authorization: Bearer …”, and
          can neither approve nor make other tokens.
        </p>
        <Loaded query={query} what="Your tokens">
          {({ items }) => (items.length === 0 ? <Empty title="You have no token" /> : <Tokens tokens={items} />)}
        </Loaded>
        <NewToken />
      </CardBody>
    </Card>
  );
}

function Tokens({ tokens }: { tokens: Token[] }) {
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: tokenDelete,
    onSuccess: () => client.invalidateQueries({ queryKey: ["tokens"] }),
  });
  return (
    <>
      <ProblemAlert error={remove.error} />
      <Table aria-label="Tokens" variant="compact">
        <Thead>
          <Tr>
            <Th>Name</Th>
            <Th>May</Th>
            <Th>Made</Th>
            <Th>Ends</Th>
            <Th>Last used</Th>
            <Th screenReaderText="Withdraw" />
          </Tr>
        </Thead>
        <Tbody>
          {tokens.map((token) => (
            <Tr key={token.id}>
              <Td dataLabel="Name">{token.name}</Td>
              <Td dataLabel="May">{token.scope?.join(", ") ?? "all that you may"}</Td>
              <Td dataLabel="Made">
                <Time at={token.created_at} />
              </Td>
              <Td dataLabel="Ends">
                <End at={token.expires_at} />
              </Td>
              <Td dataLabel="Last used">
                <Age at={token.last_used_at} />
              </Td>
              <Td dataLabel="Withdraw">
                <Button
                  variant="link"
                  isDanger
                  isDisabled={remove.isPending}
                  isInline
                  aria-label={`Withdraw the token ${token.name}`}
                  onClick={() => remove.mutate(token.id)}
                >
                  Withdraw
                </Button>
              </Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
    </>
  );
}

/** When a token ends; loud when it has or soon will, because something else stops then. */
function End({ at }: { at: string | null }) {
  const now = useNow();
  if (at === null) return "never";
  const left = Date.parse(at) - now;
  const word = left < 0 ? "has ended" : left < 7 * 86_400_000 ? "soon" : "";
  return (
    <>
      <Time at={at} /> {word && <StateText state={{ tone: left < 0 ? "bad" : "warn", word }} />}
    </>
  );
}

function NewToken() {
  const client = useQueryClient();
  const { permissions } = useMe();
  const [scope, setScope] = useState<string[]>(["view"]);
  const [name, setName] = useState("");
  const [days, setDays] = useState("30");
  const make = useMutation({
    mutationFn: () => tokenCreate(name.trim(), Number(days), scope),
    onSuccess: () => {
      setName("");
      return client.invalidateQueries({ queryKey: ["tokens"] });
    },
  });
  return (
    <Form
      isWidthLimited
      onSubmit={(event) => {
        event.preventDefault();
        make.mutate();
      }}
    >
      {make.data && (
        <Alert variant="success" isInline component="h3" title={`The token ${make.data.name}, shown this once`}>
          <Command text={make.data.token} />
        </Alert>
      )}
      <FormGroup label="Name: what is it for?" isRequired fieldId="token-name">
        <TextInput id="token-name" value={name} maxLength={100} onChange={(_event, value) => setName(value)} />
      </FormGroup>
      <FormGroup label="Ends after" fieldId="token-days">
        <FormSelect id="token-days" value={days} onChange={(_event, value) => setDays(value)}>
          {["1", "7", "30", "90", "366"].map((each) => (
            <FormSelectOption key={each} value={each} label={each === "1" ? "1 day" : `${each} days`} />
          ))}
        </FormSelect>
      </FormGroup>
      <FormGroup label="It may" role="group" fieldId="token-scope">
        {permissions.map((permission) => (
          <Checkbox
            key={permission}
            id={`token-scope-${permission}`}
            label={permission}
            isChecked={scope.includes(permission)}
            onChange={(_event, chosen) =>
              setScope(chosen ? [...scope, permission] : scope.filter((each) => each !== permission))
            }
          />
        ))}
      </FormGroup>
      <ProblemAlert error={make.error} />
      <ActionGroup>
        <Button
          type="submit"
          variant="secondary"
          isLoading={make.isPending}
          isDisabled={make.isPending || !name.trim() || scope.length === 0}
        >
          Make a token
        </Button>
      </ActionGroup>
    </Form>
  );
}
