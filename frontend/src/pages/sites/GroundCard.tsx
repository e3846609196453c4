import { Card, CardBody, CardTitle } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { networksQuery, resourcesQuery } from "../../api/queries";
import type { Resource } from "../../api/types";
import { Empty, Loaded } from "../../components/Loaded";
import { StateText } from "../../components/State";
import { Age } from "../../components/Time";
import { sizeWords } from "../../lib/words";
import { useLive } from "../../live/hooks";

const MIB = 2 ** 20;
const ON = new Set(["MONITORED", "MONITORING_MONITORED"]);
const figure = (value: unknown) => (typeof value === "number" ? value : 0);

/** What VMs and images of the other site would find here: hosts, datastores and networks, and what of them is free. */
export function GroundCard({ slug }: { slug: string }) {
  const query = useQuery({ ...resourcesQuery(slug), refetchInterval: useLive([]) });
  return (
    <Card>
      <CardTitle component="h2">Hosts, datastores and networks</CardTitle>
      <CardBody className="dr-stack">
        <Loaded query={query} what="What is free here">
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="OpenNebula has not told of a host or a datastore yet" />
            ) : (
              <>
                <Hosts hosts={items.filter((one) => one.kind === "host")} />
                <Datastores stores={items.filter((one) => one.kind === "datastore")} />
              </>
            )
          }
        </Loaded>
        <Networks slug={slug} />
      </CardBody>
    </Card>
  );
}

function Hosts({ hosts }: { hosts: Resource[] }) {
  const on = hosts.filter((host) => ON.has(String(host.facts.state_word)));
  const sum = (what: string) => on.reduce((total, host) => total + figure(host.facts[what]), 0);
  const memory = (sum("memory_total_kb") - sum("memory_used_kb")) * 1024;
  const cpu = (sum("cpu_total") - sum("cpu_used")) / 100;
  return (
    <>
      <p>
        Free on the hosts that are on: {sizeWords(memory)} of memory, {cpu.toFixed(1)} CPUs.
      </p>
      <Table aria-label="Hosts" variant="compact">
        <Thead>
          <Tr>
            <Th>Host</Th>
            <Th>State</Th>
            <Th>Memory free</Th>
            <Th>CPUs free</Th>
            <Th>Read</Th>
          </Tr>
        </Thead>
        <Tbody>
          {hosts.map(({ one_id, name, facts, read_at }) => (
            <Tr key={one_id}>
              <Td dataLabel="Host">{name}</Td>
              <Td dataLabel="State">
                <StateText
                  state={
                    ON.has(String(facts.state_word))
                      ? { word: "On", tone: "good" }
                      : { word: String(facts.state_word ?? "not told"), tone: "warn" }
                  }
                />
              </Td>
              <Td dataLabel="Memory free">
                {sizeWords((figure(facts.memory_total_kb) - figure(facts.memory_used_kb)) * 1024)} of{" "}
                {sizeWords(figure(facts.memory_total_kb) * 1024)}
              </Td>
              <Td dataLabel="CPUs free">
                {((figure(facts.cpu_total) - figure(facts.cpu_used)) / 100).toFixed(1)} of{" "}
                {(figure(facts.cpu_total) / 100).toFixed(1)}
              </Td>
              <Td dataLabel="Read">
                <Age at={read_at} stale_after_s={180} />
              </Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
    </>
  );
}

function Networks({ slug }: { slug: string }) {
  const query = useQuery({ ...networksQuery(slug), refetchInterval: useLive([]) });
  return (
    <Loaded query={query} what="The networks">
      {({ items }) =>
        items.length === 0 ? (
          <p>OpenNebula has told of no network.</p>
        ) : (
          <Table aria-label="Networks" variant="compact">
            <Thead>
              <Tr>
                <Th>Network</Th>
                <Th>Addresses</Th>
                <Th>State</Th>
              </Tr>
            </Thead>
            <Tbody>
              {items.map(({ one_id, name, ranges, gone_at }) => (
                <Tr key={one_id}>
                  <Td dataLabel="Network">
                    {name} ({one_id})
                  </Td>
                  <Td dataLabel="Addresses">
                    {ranges.length === 0
                      ? "none of its own"
                      : ranges.map((range) => `${range.size} from ${range.first}`).join(", ")}
                  </Td>
                  <Td dataLabel="State">
                    <StateText state={gone_at ? { word: "Gone", tone: "bad" } : { word: "There", tone: "good" }} />
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        )
      }
    </Loaded>
  );
}

function Datastores({ stores }: { stores: Resource[] }) {
  return (
    <Table aria-label="Datastores" variant="compact">
      <Thead>
        <Tr>
          <Th>Datastore</Th>
          <Th>For</Th>
          <Th>Pool</Th>
          <Th>Free</Th>
          <Th>State</Th>
          <Th>Read</Th>
        </Tr>
      </Thead>
      <Tbody>
        {stores.map(({ one_id, name, facts, read_at }) => (
          <Tr key={one_id}>
            <Td dataLabel="Datastore">
              {name} ({one_id})
            </Td>
            <Td dataLabel="For">{String(facts.type_word)}</Td>
            <Td dataLabel="Pool">{facts.pool ? String(facts.pool) : "not on Ceph"}</Td>
            <Td dataLabel="Free">{sizeWords(figure(facts.free_mb) * MIB)}</Td>
            <Td dataLabel="State">
              <StateText
                state={facts.enabled ? { word: "Enabled", tone: "good" } : { word: "Disabled", tone: "warn" }}
              />
            </Td>
            <Td dataLabel="Read">
              <Age at={read_at} stale_after_s={180} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
