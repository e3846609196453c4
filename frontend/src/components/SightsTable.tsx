import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { Sight } from "../api/types";
import { useSiteName } from "../lib/siteName";
import { echoWord, whoLooks } from "../lib/words";
import { StateText } from "./State";
import { Age, Time } from "./Time";

/**
 * Who sees what of a site since when. A silence is that of one viewpoint: it does not say that the site is gone.
 * `frozen`: as it was once; it does not grow older.
 */
export function SightsTable({ sights, of, frozen = false }: { sights: Sight[]; of: string; frozen?: boolean }) {
  const name = useSiteName();
  if (sights.length === 0) return <p>Nobody has looked for {of} yet.</p>;
  return (
    <Table aria-label={`Who sees what of ${of}`} variant="compact">
      <Thead>
        <Tr>
          <Th>Who looks</Th>
          <Th>What</Th>
          <Th>Sees</Th>
          <Th>Since</Th>
          <Th>Looked last</Th>
        </Tr>
      </Thead>
      <Tbody>
        {sights.map((each) => (
          <Tr key={`${each.viewpoint} ${each.what}`}>
            <Td dataLabel="Who looks">{whoLooks(each.viewpoint, name)}</Td>
            <Td dataLabel="What">
              {each.what} <span className="dr-mono">{each.address}</span>
            </Td>
            <Td dataLabel="Sees">
              <StateText state={echoWord(each.echo)} title={each.sentence} />
              {each.echo === "" && (
                <span className="dr-quiet">: {each.sentence.replace(/^could not be asked: /, "")}</span>
              )}
            </Td>
            <Td dataLabel="Since">
              <Time at={each.since} />
            </Td>
            <Td dataLabel="Looked last">
              {frozen ? <Time at={each.seen_at} /> : <Age at={each.seen_at} stale_after_s={60} />}
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
