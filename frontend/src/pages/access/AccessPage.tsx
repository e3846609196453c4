import { Card, CardBody, CardTitle, List, ListItem, PageSection } from "@patternfly/react-core";
import CheckIcon from "@patternfly/react-icons/dist/esm/icons/check-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { accessQuery } from "../../api/queries";
import type { Access } from "../../api/types";
import { Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { GiveCard } from "./GiveCard";
import { PeopleCard } from "./PeopleCard";

/** Roles and what each may, why, and who holds which, where, since when, by whom and why. */
export function AccessPage() {
  const query = useQuery(accessQuery);
  return (
    <>
      <PageHead title="Who may do what, and why">
        A role is held everywhere, at a pair of sites with all of its plans, or for one plan. A person may do what their
        roles may do there together. Roles are given here, by <code>manage.py person</code>, or by groups at the
        identity provider; each change is in the trail.
      </PageHead>
      <PageSection className="dr-stack">
        <Loaded query={query} what="The table of rights">
          {(access) => (
            <>
              <PeopleCard access={access} />
              {access.scopes.length > 0 && <GiveCard access={access} />}
              <RolesCard access={access} />
            </>
          )}
        </Loaded>
      </PageSection>
    </>
  );
}

function RolesCard({ access }: { access: Access }) {
  return (
    <Card>
      <CardTitle component="h2">Roles and what each may</CardTitle>
      <CardBody className="dr-stack">
        <Table aria-label="Permissions of the roles" variant="compact" gridBreakPoint="">
          <Thead>
            <Tr>
              <Th>Permission</Th>
              {access.roles.map((role) => (
                <Th key={role.role} textCenter modifier="nowrap">
                  {capital(role.role)}
                </Th>
              ))}
            </Tr>
          </Thead>
          <Tbody>
            {access.permissions.map((row) => (
              <Tr key={row.permission}>
                <Th>
                  {row.says} <code>{row.permission}</code>
                </Th>
                {access.roles.map((role) => (
                  <Td key={role.role} dataLabel={role.role} textCenter>
                    {role.permissions.includes(row.permission) ? <CheckIcon aria-label="may" role="img" /> : "no"}
                  </Td>
                ))}
              </Tr>
            ))}
          </Tbody>
        </Table>
        {access.roles.map((role) => (
          <p key={role.role}>
            <strong>{capital(role.role)}</strong>: {role.why}
          </p>
        ))}
        <p>Whatever the roles say:</p>
        <List>
          <ListItem>Nobody approves what they asked for themselves.</ListItem>
          <ListItem>Nobody reviews a run they took part in.</ListItem>
          <ListItem>A token never approves, never makes another token, and gives nobody a right.</ListItem>
          <ListItem>Nobody changes their own rights.</ListItem>
        </List>
      </CardBody>
    </Card>
  );
}

const capital = (word: string) => word.slice(0, 1).toUpperCase() + word.slice(1);
