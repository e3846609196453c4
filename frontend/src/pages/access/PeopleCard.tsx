import { Card, CardBody, CardTitle, Checkbox } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { grantTake, signOutOf } from "../../api/commands";
import type { Access, Grant } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ReasonDialog } from "../../components/ReasonDialog";
import { StateText } from "../../components/State";
import { Time } from "../../components/Time";

type PersonAccess = Access["people"][number];
type Taking = { person: PersonAccess; grant: Grant };

/** Each person with what they hold, where, and why; one row a grant. */
export function PeopleCard({ access }: { access: Access }) {
  const [taking, setTaking] = useState<Taking | null>(null);
  const [leaving, setLeaving] = useState<PersonAccess | null>(null);
  const everywhere = access.scopes.some((scope) => scope.pair_id === null && scope.plan_id === null);
  const signOut = (person: PersonAccess) =>
    everywhere && (
      <ActButton variant="link" isInline whyNot="" onClick={() => setLeaving(person)}>
        Sign out
      </ActButton>
    );
  return (
    <Card>
      <CardTitle component="h2">People</CardTitle>
      <CardBody>
        <Table aria-label="Who holds which role, where" variant="compact">
          <Thead>
            <Tr>
              <Th>Person</Th>
              <Th>Role</Th>
              <Th>Where</Th>
              <Th>Given by</Th>
              <Th>Why</Th>
              <Th>Until</Th>
              <Th screenReaderText="Take back" />
            </Tr>
          </Thead>
          <Tbody>
            {access.people.map((person) =>
              person.grants.length === 0 ? (
                <Tr key={person.username}>
                  <Td dataLabel="Person">
                    <Name person={person} /> {signOut(person)}
                  </Td>
                  <Td colSpan={6}>Nothing: may sign in and see their own account.</Td>
                </Tr>
              ) : (
                person.grants.map((grant, at) => (
                  <Tr key={grant.id}>
                    <Td dataLabel="Person">
                      <Name person={person} /> {at === 0 && signOut(person)}
                    </Td>
                    <Td dataLabel="Role">{grant.role}</Td>
                    <Td dataLabel="Where">{grant.where}</Td>
                    <Td dataLabel="Given by">
                      {grant.given_by}, <Time at={grant.given_at} />
                    </Td>
                    <Td dataLabel="Why">{grant.reason || "no reason was given"}</Td>
                    <Td dataLabel="Until">
                      {grant.until ? <Time at={grant.until} /> : "no end"}
                      {grant.over && <StateText state={{ tone: "idle", word: "over: counts for nothing" }} />}
                    </Td>
                    <Td dataLabel="Take back">
                      {access.scopes.length > 0 && (
                        <ActButton
                          variant="link"
                          isInline
                          isDanger
                          whyNot={grant.may_take ? "" : "Your own rights, and those beyond yours, others change."}
                          onClick={() => setTaking({ person, grant })}
                        >
                          Take back
                        </ActButton>
                      )}
                    </Td>
                  </Tr>
                ))
              ),
            )}
          </Tbody>
        </Table>
        {leaving && <SignOutDialog person={leaving} onClose={() => setLeaving(null)} />}
        {taking && <TakeDialog {...taking} onClose={() => setTaking(null)} />}
      </CardBody>
    </Card>
  );
}

// For who may give rights everywhere; the server leaves it out for others.
const HAS = { tone: "good", word: "has a second factor" } as const;
const MISSING = { tone: "warn", word: "no second factor, and one is demanded" } as const;
const NONE = { tone: "idle", word: "no second factor" } as const;

function Name({ person }: { person: PersonAccess }) {
  return (
    <>
      {person.name === person.username ? person.name : `${person.name} (${person.username})`}{" "}
      {!person.active && <StateText state={{ tone: "idle", word: "closed: cannot sign in" }} />}
      {person.second_factor && <StateText state={HAS} />}
      {person.second_factor === false && <StateText state={person.second_factor_missing ? MISSING : NONE} />}
    </>
  );
}

function TakeDialog({ person, grant, onClose }: Taking & { onClose: () => void }) {
  const client = useQueryClient();
  const take = useMutation({
    mutationFn: (reason: string) => grantTake(grant.id, reason),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["access"] });
      onClose();
    },
  });
  return (
    <ReasonDialog
      title={`Take the role ${grant.role} from ${person.username}?`}
      consequences={[
        `It counts ${grant.where}. From the next request on ${person.username} may only do what other roles say.`,
        "A yes that they gave as an approver, and that is not in use yet, does not count any more.",
      ]}
      button="Take it back"
      danger
      reasonNeeded
      busy={take.isPending}
      error={take.error}
      onConfirm={(reason) => take.mutate(reason)}
      onClose={onClose}
    />
  );
}

function SignOutDialog({ person, onClose }: { person: PersonAccess; onClose: () => void }) {
  const [tokens, setTokens] = useState(false);
  const out = useMutation({
    mutationFn: (reason: string) => signOutOf(person.username, reason, tokens),
    onSuccess: onClose,
  });
  return (
    <ReasonDialog
      title={`Sign ${person.username} out everywhere?`}
      consequences={[
        "Every session ends at its next request, open pages within half a minute. What runs goes on.",
        `${person.username} may sign in again: where the password is known to somebody else, close the account or set another.`,
      ]}
      button="Sign out"
      danger
      reasonNeeded
      busy={out.isPending}
      error={out.error}
      onConfirm={(reason) => out.mutate(reason)}
      onClose={onClose}
    >
      <Checkbox
        id="sign-out-tokens"
        label="Withdraw their tokens, too"
        isChecked={tokens}
        onChange={(_event, checked) => setTokens(checked)}
      />
    </ReasonDialog>
  );
}
