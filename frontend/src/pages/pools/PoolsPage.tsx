import { PageSection } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { pairsQuery, poolsQuery } from "../../api/queries";
import type { Pair, PoolSummary } from "../../api/types";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { StateText, VerdictText } from "../../components/State";
import { useSiteName } from "../../lib/siteName";
import { exposureWord } from "../../lib/words";
import { useLive } from "../../live/hooks";

export function PoolsPage() {
  const query = useQuery(pairsQuery);
  return (
    <>
      <PageHead title="Pools">The mirrored pools as both sites see them, and the worst exposure in each.</PageHead>
      <PageSection className="dr-stack">
        <Loaded query={query} what="The pairs">
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="No pair of sites yet" action={<LinkButton to="/sites">To the sites</LinkButton>} />
            ) : (
              items.map((pair) => <PoolTable key={pair.id} pair={pair} />)
            )
          }
        </Loaded>
      </PageSection>
    </>
  );
}

function PoolTable({ pair }: { pair: Pair }) {
  const name = useSiteName();
  const sites = `${name(pair.a)} and ${name(pair.b)}`;
  const query = useQuery({ ...poolsQuery(pair.id), refetchInterval: useLive([`pair:${pair.id}`]) });
  return (
    <Loaded query={query} what="The pools">
      {({ items }) => (
        <Table aria-label={`Pools of ${sites}`} variant="compact">
          <Thead>
            <Tr>
              <Th>Pool</Th>
              <Th>Sites</Th>
              <Th>Images</Th>
              <Th>Verdicts</Th>
              <Th>Would be lost now, at worst</Th>
            </Tr>
          </Thead>
          <Tbody>
            {items.map((pool) => (
              <Tr key={pool.name}>
                <Td dataLabel="Pool">
                  <Link to={`/pools/${pair.id}/${pool.name}`}>{pool.name}</Link>
                </Td>
                <Td dataLabel="Sites">{sites}</Td>
                <Td dataLabel="Images">{pool.images}</Td>
                <Td dataLabel="Verdicts">
                  <VerdictCounts pool={pool} />
                </Td>
                <Td dataLabel="Would be lost now, at worst">
                  <StateText state={exposureWord(pool.exposure)} title={pool.exposure.sentence} />
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Loaded>
  );
}

export function VerdictCounts({ pool }: { pool: PoolSummary }) {
  return (
    <>
      {Object.entries(pool.counts).map(([code, n]) => (
        <span key={code} className="dr-count">
          {n} <VerdictText code={code} />
        </span>
      ))}
    </>
  );
}
