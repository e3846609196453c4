import { Form, FormGroup, Radio, TextInput } from "@patternfly/react-core";
import type { Dispatch } from "react";
import type { Pair, Site } from "../../api/types";
import type { PlanAction, PlanDraft } from "./planReducer";

/** What it is called, and where its VMs are at home. */
export function HomeStep({
  draft,
  dispatch,
  pairs,
  sites,
  isFixed,
}: {
  draft: PlanDraft;
  dispatch: Dispatch<PlanAction>;
  pairs: Pair[];
  sites: Site[];
  isFixed: boolean;
}) {
  const name = (slug: string) => sites.find((site) => site.slug === slug)?.name ?? slug;
  return (
    <Form isWidthLimited onSubmit={(event) => event.preventDefault()}>
      <FormGroup label="Name of the plan" isRequired fieldId="plan-name">
        <TextInput
          id="plan-name"
          value={draft.name}
          maxLength={100}
          onChange={(_event, text) => dispatch({ type: "name", text })}
        />
      </FormGroup>
      <FormGroup label="Name of the protection group (the VMs that move together)" isRequired fieldId="group-name">
        <TextInput
          id="group-name"
          value={draft.groupName}
          maxLength={100}
          onChange={(_event, text) => dispatch({ type: "group", text })}
        />
      </FormGroup>
      <FormGroup role="radiogroup" label="Where are the VMs at home?" isRequired fieldId="home-site">
        {pairs.flatMap((pair) =>
          [pair.a, pair.b].map((slug) => (
            <Radio
              key={`${pair.id} ${slug}`}
              id={`home-${pair.id}-${slug}`}
              name="home-site"
              label={`${name(slug)}; the other site is ${name(slug === pair.a ? pair.b : pair.a)}`}
              isChecked={draft.pairId === pair.id && draft.homeSite === slug}
              isDisabled={isFixed}
              onChange={() => dispatch({ type: "home", pairId: pair.id, site: slug })}
            />
          )),
        )}
        {isFixed && <p className="dr-quiet">The home of a group does not change. Make a new plan for that.</p>}
      </FormGroup>
    </Form>
  );
}
