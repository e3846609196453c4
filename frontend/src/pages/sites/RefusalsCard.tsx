import { Alert, Card, CardBody, CardTitle } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { refusalsQuery } from "../../api/queries";
import type { Refusals } from "../../api/types";
import { Loaded } from "../../components/Loaded";
import { Age, Time } from "../../components/Time";
import { useMayAtSite } from "../../lib/may";
import { count } from "../../lib/words";
import { useLive } from "../../live/hooks";

const KEY: Record<string, string> = { read: "observes", act: "acts" };

/** What the site program refused there, and whether this portal had sent it: for whoever reads the trail. */
export function RefusalsCard({ slug }: { slug: string }) {
  const { may } = useMayAtSite("audit", slug);
  return may ? <TheCard slug={slug} /> : null;
}

function TheCard({ slug }: { slug: string }) {
  const query = useQuery({ ...refusalsQuery(slug), refetchInterval: useLive(["sites"], "sites") });
  if (query.data && !query.data.keeps) return null;
  return (
    <Card>
      <CardTitle component="h2">Refused at its door</CardTitle>
      <CardBody className="dr-stack">
        <Loaded query={query} what="What the site refused">
          {(refusals) => <Told refusals={refusals} />}
        </Loaded>
      </CardBody>
    </Card>
  );
}

function Told({ refusals }: { refusals: Refusals }) {
  if (refusals.asked_at === null) {
    return <p>The site has not told yet. A site program before 1.5 does not: it only keeps refused.log there.</p>;
  }
  return (
    <>
      {refusals.sentence && <Alert variant="danger" isInline component="h3" title={refusals.sentence} />}
      <p>
        What the site program there refused, and did not do, since <Time at={refusals.begun_at} />. Told{" "}
        <Age at={refusals.asked_at} stale_after_s={180} />.
      </p>
      {refusals.incomplete_at !== null && (
        <p>
          There was more: its log no longer had all of it <Time at={refusals.incomplete_at} />.
        </p>
      )}
      {refusals.uncounted > 0 && <p>And {count(refusals.uncounted, "request")} of many kinds or addresses.</p>}
      {refusals.items.length === 0 ? <p>Nothing was refused.</p> : <Rows items={refusals.items} />}
    </>
  );
}

function Rows({ items }: { items: Refusals["items"] }) {
  return (
    <Table aria-label="Refused requests" variant="compact">
      <Thead>
        <Tr>
          <Th width={20}>Sent by</Th>
          <Th width={20}>How many</Th>
          <Th>Refused was</Th>
          <Th>The last one began</Th>
        </Tr>
      </Thead>
      <Tbody>
        {items.map((item) => (
          <Tr key={`${item.code} ${item.rights} ${item.address} ${item.strange}`}>
            <Td dataLabel="Sent by">
              {item.strange ? <strong>Not this portal</strong> : "This portal"}
              {item.address && `, from ${item.address}`}
              {item.rights && `, with the key that ${KEY[item.rights] ?? item.rights}`}
            </Td>
            <Td dataLabel="How many">
              {item.count}, the last <Time at={item.last_at} />
              {item.count > 1 && (
                <>
                  , the first <Time at={item.first_at} />
                </>
              )}
            </Td>
            <Td dataLabel="Refused was">
              {item.word}
              <br />
              <span className="dr-quiet">{item.text}</span>
            </Td>
            <Td dataLabel="The last one began" modifier="breakWord">
              <span className="dr-mono">{item.line}</span>
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
