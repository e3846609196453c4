import { Button, DescriptionList, List, ListItem, useWizardContext, WizardFooterWrapper } from "@patternfly/react-core";
import type { Network, Vm } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ProblemAlert } from "../../components/Loaded";
import { Fact } from "../runs/RunFacts";
import { networksUsed, type PlanDraft } from "./planReducer";

export function ReviewStep({
  draft,
  vms,
  networks,
  peerSite,
}: {
  draft: PlanDraft;
  vms: Vm[];
  networks: Network[];
  peerSite: string;
}) {
  const chosen = vms
    .filter((vm) => draft.priorities.has(vm.id))
    .sort((a, b) => (draft.priorities.get(a.id) ?? 0) - (draft.priorities.get(b.id) ?? 0));
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
          {chosen.map((vm) => (
            <ListItem key={vm.id}>
              {draft.priorities.get(vm.id)}: {vm.name}
            </ListItem>
          ))}
        </List>
      </Fact>
      <Fact term="Networks">
        <List>
          {[...networksUsed(vms, draft.priorities)].map(([id, name]) => (
            <ListItem key={id}>
              {name} becomes {networkName(draft.networks[id])}
            </ListItem>
          ))}
        </List>
      </Fact>
    </DescriptionList>
  );
}

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
