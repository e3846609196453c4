import {
  ActionGroup,
  Alert,
  Button,
  Card,
  CardBody,
  CardTitle,
  Flex,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  TextInput,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { channelCreate, channelDelete, channelTest } from "../../api/commands";
import type { AlertChannel } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ProblemAlert } from "../../components/Loaded";
import { StateText } from "../../components/State";
import { Time } from "../../components/Time";
import { useMay } from "../../lib/may";

/** Where messages go. An address is kept sealed: it can be tested and removed, never read. */
export function ChannelsCard({ channels }: { channels: AlertChannel[] }) {
  return (
    <Card>
      <CardTitle component="h2">Channels</CardTitle>
      <CardBody className="dr-stack">
        {channels.length > 0 && (
          <Table aria-label="Channels" variant="compact">
            <Thead>
              <Tr>
                <Th>Name</Th>
                <Th>Address</Th>
                <Th>Last message</Th>
                <Th screenReaderText="Actions" />
              </Tr>
            </Thead>
            <Tbody>
              {channels.map((channel) => (
                <ChannelRow key={channel.id} channel={channel} />
              ))}
            </Tbody>
          </Table>
        )}
        <NewChannel />
      </CardBody>
    </Card>
  );
}

function ChannelRow({ channel }: { channel: AlertChannel }) {
  const client = useQueryClient();
  const { whyNot } = useMay("alerts", "everywhere");
  const again = () => client.invalidateQueries({ queryKey: ["alerts"] });
  const test = useMutation({ mutationFn: () => channelTest(channel.id), onSettled: again });
  const remove = useMutation({ mutationFn: () => channelDelete(channel.id), onSuccess: again });
  return (
    <Tr>
      <Td dataLabel="Name">{channel.name}</Td>
      <Td dataLabel="Address">
        <span className="dr-mono">{channel.shown}</span>
      </Td>
      <Td dataLabel="Last message">
        {channel.last_trouble ? (
          <StateText state={{ word: channel.last_trouble, tone: "bad" }} />
        ) : (
          <Time at={channel.last_sent_at} />
        )}
        <ProblemAlert error={test.error ?? remove.error} />
        {test.data && (
          <Alert variant={test.data.ok ? "success" : "danger"} isInline isPlain title={test.data.sentence} />
        )}
      </Td>
      <Td dataLabel="Actions">
        <Flex>
          <ActButton variant="secondary" whyNot={whyNot} onClick={() => test.mutate()}>
            {test.isPending ? `Testing ${channel.name}` : `Test ${channel.name}`}
          </ActButton>
          <ActButton variant="link" isDanger whyNot={whyNot} onClick={() => remove.mutate()}>
            Remove {channel.name}
          </ActButton>
        </Flex>
      </Td>
    </Tr>
  );
}

function NewChannel() {
  const client = useQueryClient();
  const { whyNot } = useMay("alerts", "everywhere");
  const [name, setName] = useState("");
  const [address, setAddress] = useState("");
  const add = useMutation({
    mutationFn: () => channelCreate(name, address),
    onSuccess: async () => {
      setName("");
      setAddress("");
      await client.invalidateQueries({ queryKey: ["alerts"] });
    },
  });
  return (
    <Form
      onSubmit={(event) => {
        event.preventDefault();
        add.mutate();
      }}
    >
      <ProblemAlert error={add.error} title="The channel was not added" />
      <FormGroup label="Name of a new channel" fieldId="channel-name">
        <TextInput id="channel-name" value={name} onChange={(_event, value) => setName(value)} />
      </FormGroup>
      <FormGroup label="Address" fieldId="channel-address">
        <TextInput
          id="channel-address"
          type="password"
          autoComplete="off"
          value={address}
          onChange={(_event, value) => setAddress(value)}
        />
        <FormHelperText>
          <HelperText>
            <HelperTextItem>
              An Apprise URL: mailtos://user:password@mail.example.org?to=ops@example.org for mail,
              jsons://hooks.example.org/path for a webhook, slack://TokenA/TokenB/TokenC or
              mmosts://chat.example.org/token for Slack and what speaks like it. It is kept sealed.
            </HelperTextItem>
          </HelperText>
        </FormHelperText>
      </FormGroup>
      <ActionGroup>
        <Button
          type="submit"
          variant="secondary"
          isDisabled={whyNot !== "" || name === "" || address === "" || add.isPending}
        >
          Add the channel
        </Button>
        {whyNot}
      </ActionGroup>
    </Form>
  );
}
