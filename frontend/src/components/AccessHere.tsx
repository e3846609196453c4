import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { accessHereQuery } from "../api/queries";
import { Fold } from "./Fold";
import { Loaded } from "./Loaded";

/** Who may do what with one plan or at one pair, and by which grants; read when it is unfolded. */
export function AccessHere({ of, head }: { of: { plan: number } | { pair: number }; head: string }) {
  return (
    <Fold head={head}>
      <Holders of={of} label={head} />
    </Fold>
  );
}

function Holders({ of, label }: { of: { plan: number } | { pair: number }; label: string }) {
  const query = useQuery(accessHereQuery(of));
  return (
    <Loaded query={query} what="Who may do what">
      {({ items }) => (
        <Table aria-label={label} variant="compact">
          <Thead>
            <Tr>
              <Th>Permission</Th>
              <Th>Who, and by which grants</Th>
            </Tr>
          </Thead>
          <Tbody>
            {items.map((row) => (
              <Tr key={row.permission}>
                <Td dataLabel="Permission">{row.permission}</Td>
                <Td dataLabel="Who, and by which grants">
                  {row.people.length === 0
                    ? "nobody"
                    : row.people.map((person) => `${person.name} (${person.by.join("; ")})`).join(", ")}
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Loaded>
  );
}
