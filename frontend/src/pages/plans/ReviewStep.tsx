import { Button, DescriptionList, List, ListItem, useWizardContext, WizardFooterWrapper } from "@patternfly/react-core";
import type { Network } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { Fold } from "../../components/Fold";
import { ProblemAlert } from "../../components/Loaded";
import { count } from "../../lib/words";
import { Fact } from "../runs/RunFacts";
import { inOrder, type Member, networksUsed, type PlanDraft } from "./planReducer";

export function ReviewStep({ draft, networks, peerSite }: { draft: PlanDraft; networks: Network[]; peerSite: string }) {
  const chosen = inOrder(draft.members);
  const priorities = [...new Set(chosen.map((member) => member.priority))];
  const networkName = (id: number | undefined) =>
    id === undefined
      ? "no network: the card is left out"
      : (networks.find((network) => network.one_id === id)?.name ?? `network ${id}`);
  return (
    <DescriptionList>
      <Fact term="Plan and group">
        {draft.name}, {draft.groupName}
      </Fact>
      <Fact term="Moves">
        from {draft.homeSite} to {peerSite}, and back
      </Fact>
      <Fact term="VMs in the order they start">
        <List>
          {priorities.map((priority) => (
            <ListItem key={priority}>
              Priority {priority}: <Names members={chosen.filter((member) => member.priority === priority)} />
            </ListItem>
          ))}
        </List>
      </Fact>
      <Fact term="Networks">
        <List>
          {[...networksUsed(draft.members)].map(([id, name]) => (
            <ListItem key={id}>
              {name} becomes {networkName(draft.networks[id])}
            </ListItem>
          ))}
        </List>
      </Fact>
    </DescriptionList>
  );
}

/** Few are read at a glance; of many, how many there are, and the names behind it. */
function Names({ members }: { members: Member[] }) {
  const names = members.map((member) => member.name).join(", ");
  if (members.length <= NAMES_SHOWN) return names;
  return <Fold head={count(members.length, "VM")}>{names}</Fold>;
}

const NAMES_SHOWN = 12;

export function SaveFooter({
  button,
  whyNot,
  busy,
  error,
  onSave,
}: {
  button: string;
  whyNot: string;
  busy: boolean;
  error: Error | null;
  onSave: () => void;
}) {
  const { goToPrevStep, close } = useWizardContext();
  return (
    <WizardFooterWrapper>
      <div className="dr-stack">
        <ProblemAlert error={error} title="The plan was not saved" />
        <div className="dr-actions">
          <Button variant="secondary" onClick={() => void goToPrevStep()} isDisabled={busy}>
            Back
          </Button>
          <ActButton whyNot={whyNot} isLoading={busy} isDisabled={busy} onClick={onSave}>
            {button}
          </ActButton>
          <Button variant="link" onClick={close} isDisabled={busy}>
            Leave without saving
          </Button>
        </div>
      </div>
    </WizardFooterWrapper>
  );
}
