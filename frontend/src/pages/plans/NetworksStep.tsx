import { Form, FormGroup, FormSelect, FormSelectOption } from "@patternfly/react-core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { Dispatch } from "react";
import type { Network, Resource } from "../../api/types";
import { Loaded } from "../../components/Loaded";
import { FenceSelect } from "./FenceSelect";
import { networksUsed, type PlanAction, type PlanDraft } from "./planReducer";

/** Which network each of the VMs' networks becomes at the other site, and where images are registered there. */
export function NetworksStep({
  home,
  peer,
  resources,
  peerSite,
  draft,
  dispatch,
}: {
  home: UseQueryResult<{ items: Network[] }, Error>;
  peer: UseQueryResult<{ items: Network[] }, Error>;
  resources: UseQueryResult<{ items: Resource[] }, Error>;
  peerSite: string;
  draft: PlanDraft;
  dispatch: Dispatch<PlanAction>;
}) {
  const used = networksUsed(draft.members);
  const homeName = (id: string, otherwise: string) =>
    home.data?.items.find((network) => String(network.one_id) === id)?.name ?? otherwise;
  return (
    <Form isWidthLimited onSubmit={(event) => event.preventDefault()}>
      <Loaded query={peer} what={`The networks of ${peerSite}`}>
        {({ items }) => (
          <>
            {used.size === 0 && <p>The chosen VMs have no network cards; nothing is to be mapped.</p>}
            {[...used].map(([id, name]) => (
              <FormGroup key={id} label={`${homeName(id, name)} (network ${id}) becomes`} fieldId={`network-${id}`}>
                <FormSelect
                  id={`network-${id}`}
                  value={draft.networks[id] ?? ""}
                  onChange={(_event, value) =>
                    dispatch({ type: "network", from: id, to: value === "" ? null : Number(value) })
                  }
                >
                  <FormSelectOption value="" label="no network: the card is left out" />
                  {items
                    .filter((network) => network.gone_at === null)
                    .map((network) => (
                      <FormSelectOption
                        key={network.one_id}
                        value={network.one_id}
                        label={`${network.name} (network ${network.one_id} of ${peerSite})`}
                      />
                    ))}
                </FormSelect>
              </FormGroup>
            ))}
          </>
        )}
      </Loaded>
      <Loaded query={resources} what={`The datastores of ${peerSite}`}>
        {({ items }) => (
          <FormGroup label={`Image datastore at ${peerSite}`} fieldId="datastore">
            <FormSelect
              id="datastore"
              value={draft.datastoreId ?? ""}
              onChange={(_event, value) => dispatch({ type: "datastore", id: value === "" ? null : Number(value) })}
            >
              <FormSelectOption value="" label="the one whose pool the images are in" />
              {items
                .filter((resource) => resource.kind === "datastore")
                .map((resource) => (
                  <FormSelectOption
                    key={resource.one_id}
                    value={resource.one_id}
                    label={`${resource.name} (datastore ${resource.one_id})`}
                  />
                ))}
            </FormSelect>
          </FormGroup>
        )}
      </Loaded>
      <FenceSelect value={draft.fenceRung} onChange={(rung) => dispatch({ type: "fence", rung })} />
    </Form>
  );
}
