import { Card, CardBody, CardTitle, List, ListItem, PageSection } from "@patternfly/react-core";
import CheckIcon from "@patternfly/react-icons/dist/esm/icons/check-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { accessQuery } from "../../api/queries";
import type { Access, Holder } from "../../api/types";
import { Empty, Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { StateText } from "../../components/State";
import { Time } from "../../components/Time";

/** Roles and what each may, why, and who holds it since when: for whoever asks whether two people really are two. */
export function AccessPage() {
  const query = useQuery(accessQuery);
  return (
    <>
      <PageHead title="Who may do what, and why">
        A person may do what their roles may do together. Roles are given by <code>manage.py person roles</code>, and
        each change is in the trail.
      </PageHead>
      <PageSection className="dr-stack">
        <Loaded query={query} what="The table of roles">
          {(access) => (
            <>
              <GrantsCard access={access} />
              {access.roles.map((role) => (
                <Card key={role.role}>
                  <CardTitle component="h2">{capital(role.role)}</CardTitle>
                  <CardBody className="dr-stack">
                    <p>{role.why}</p>
                    <Holders people={role.people} label={`Who is ${role.role}`} nobody="Nobody holds this role" />
                  </CardBody>
                </Card>
              ))}
              {access.without_role.length > 0 && (
                <Card>
                  <CardTitle component="h2">Without a role</CardTitle>
                  <CardBody className="dr-stack">
                    <p>May sign in, see their own account, and nothing else.</p>
                    <Holders people={access.without_role} label="Who has no role" nobody="" />
                  </CardBody>
                </Card>
              )}
            </>
          )}
        </Loaded>
      </PageSection>
    </>
  );
}

function GrantsCard({ access }: { access: Access }) {
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
        <p>Whatever the roles say:</p>
        <List>
          <ListItem>Nobody approves what they asked for themselves.</ListItem>
          <ListItem>Nobody reviews a run they took part in.</ListItem>
          <ListItem>A token never approves, and never makes another token.</ListItem>
        </List>
      </CardBody>
    </Card>
  );
}

function Holders({ people, label, nobody }: { people: Holder[]; label: string; nobody: string }) {
  if (people.length === 0) return <Empty title={nobody} />;
  // For administrators alone; the server leaves it out for others.
  const shown = people.some((person) => person.second_factor !== null);
  return (
    <Table aria-label={label} variant="compact">
      <Thead>
        <Tr>
          <Th>Name</Th>
          <Th>User name</Th>
          <Th>Roles last changed</Th>
          <Th>By</Th>
          {shown && <Th>Second factor</Th>}
        </Tr>
      </Thead>
      <Tbody>
        {people.map((person) => (
          <Tr key={person.username}>
            <Td dataLabel="Name">
              {person.name} {!person.active && <StateText state={{ tone: "idle", word: "closed: cannot sign in" }} />}
            </Td>
            <Td dataLabel="User name">{person.username}</Td>
            <Td dataLabel="Roles last changed">
              {person.given_at ? <Time at={person.given_at} /> : "not in the trail"}
            </Td>
            <Td dataLabel="By">{person.given_by ?? "not in the trail"}</Td>
            {shown && (
              <Td dataLabel="Second factor">
                {person.second_factor ? (
                  "yes"
                ) : (
                  <StateText
                    state={{
                      tone: person.second_factor_missing ? "warn" : "idle",
                      word: person.second_factor_missing ? "none, and one is demanded" : "none",
                    }}
                  />
                )}
              </Td>
            )}
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

const capital = (word: string) => word.slice(0, 1).toUpperCase() + word.slice(1);
