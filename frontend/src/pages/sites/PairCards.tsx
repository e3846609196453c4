import {
  Card,
  CardBody,
  CardTitle,
  Flex,
  Form,
  FormGroup,
  FormSelect,
  FormSelectOption,
  Progress,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { pairCreate, pairDiscover } from "../../api/commands";
import type { Pair, Site } from "../../api/types";
import { AccessHere } from "../../components/AccessHere";
import { ActButton } from "../../components/ActButton";
import { Fold } from "../../components/Fold";
import { ProblemAlert } from "../../components/Loaded";
import { Age } from "../../components/Time";
import { useMay } from "../../lib/may";
import { useLive } from "../../live/hooks";
import { Witnesses } from "./Witnesses";

/** Each pair with its discovery; and the form for a pair while two sites are without one. */
export function PairCards({ pairs, sites }: { pairs: Pair[]; sites: Site[] }) {
  const paired = new Set(pairs.flatMap((pair) => [pair.a, pair.b]));
  const alone = sites.filter((site) => !paired.has(site.slug));
  return (
    <>
      {pairs.map((pair) => (
        <PairCard key={pair.id} pair={pair} sites={sites} />
      ))}
      {alone.length >= 2 && <NewPair sites={alone} />}
    </>
  );
}

function PairCard({ pair, sites }: { pair: Pair; sites: Site[] }) {
  useLive([`pair:${pair.id}`]);
  const client = useQueryClient();
  const { whyNot } = useMay("discover", { pair: pair.id });
  const discover = useMutation({
    mutationFn: () => pairDiscover(pair.id),
    onSuccess: () => client.invalidateQueries({ queryKey: ["pair"] }),
  });
  const name = (slug: string) => sites.find((site) => site.slug === slug)?.name ?? slug;
  const { discovery } = pair;
  const busy = discovery.state === "running" || discovery.state === "queued";
  return (
    <Card>
      <CardTitle component="h2">
        {name(pair.a)} and {name(pair.b)}
      </CardTitle>
      <CardBody className="dr-stack">
        <p>
          Pools: {pair.pools.length > 0 ? pair.pools.join(", ") : "all that are mirrored"}. Watched{" "}
          <Age at={pair.polled_at} stale_after_s={30} />; last discovered <Age at={pair.discovered_at} />.
        </p>
        {busy && (
          <Progress
            title={discovery.sentence || "Discovery is running"}
            value={discovery.total > 0 ? Math.floor((100 * discovery.done) / discovery.total) : 0}
            label={`${discovery.done} of ${discovery.total}`}
          />
        )}
        {!busy && discovery.sentence && (
          <p>
            Last discovery: {discovery.sentence} (<Age at={discovery.started_at} />)
          </p>
        )}
        <ProblemAlert error={discover.error} />
        <Flex>
          <ActButton
            variant="secondary"
            whyNot={whyNot || (busy ? "A discovery is running." : "")}
            isLoading={discover.isPending}
            onClick={() => discover.mutate()}
          >
            Discover now
          </ActButton>
          <Link to={`/images?pair=${pair.id}`}>Images</Link>
          <Link to={`/vms?site=${pair.a}`}>VMs of {name(pair.a)}</Link>
          <Link to={`/vms?site=${pair.b}`}>VMs of {name(pair.b)}</Link>
        </Flex>
        <Fold head="Witnesses at a third place">
          <Witnesses pair={pair} />
        </Fold>
        <AccessHere of={{ pair: pair.id }} head="Who may do what at this pair" />
      </CardBody>
    </Card>
  );
}

function NewPair({ sites }: { sites: Site[] }) {
  const client = useQueryClient();
  const { whyNot } = useMay("sites", "everywhere");
  const [a, setA] = useState(sites[0]?.slug ?? "");
  const [b, setB] = useState(sites[1]?.slug ?? "");
  const [pools, setPools] = useState("");
  const create = useMutation({
    mutationFn: () => pairCreate(a, b, pools.split(/[\s,]+/).filter(Boolean)),
    onSuccess: () => client.invalidateQueries({ queryKey: ["pair"] }),
  });
  const options = sites.map((site) => <FormSelectOption key={site.slug} value={site.slug} label={site.name} />);
  return (
    <Card>
      <CardTitle component="h2">Make a pair of two sites</CardTitle>
      <CardBody>
        <Form isWidthLimited onSubmit={(event) => event.preventDefault()}>
          <FormGroup label="One site" fieldId="pair-a">
            <FormSelect id="pair-a" value={a} onChange={(_event, value) => setA(value)}>
              {options}
            </FormSelect>
          </FormGroup>
          <FormGroup label="The other" fieldId="pair-b">
            <FormSelect id="pair-b" value={b} onChange={(_event, value) => setB(value)}>
              {options}
            </FormSelect>
          </FormGroup>
          <FormGroup label="Pools (separated by commas; empty: all that are mirrored)" fieldId="pair-pools">
            <TextInput id="pair-pools" value={pools} onChange={(_event, value) => setPools(value)} />
          </FormGroup>
          <ProblemAlert error={create.error} />
          <Flex>
            <ActButton
              whyNot={whyNot || (a === b ? "Choose two different sites." : "")}
              isLoading={create.isPending}
              onClick={() => create.mutate()}
            >
              Make the pair
            </ActButton>
          </Flex>
        </Form>
      </CardBody>
    </Card>
  );
}
