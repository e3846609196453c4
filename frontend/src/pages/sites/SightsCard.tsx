import {
  Button,
  Card,
  CardBody,
  CardTitle,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  TextArea,
} from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { siteChange } from "../../api/commands";
import type { Site } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ProblemAlert } from "../../components/Loaded";
import { SightsTable } from "../../components/SightsTable";
import { type LookedFor, lookedForOf, lookedForText } from "../../lib/lookedFor";
import { useMayAtSite } from "../../lib/may";

/** The site as the portal and the other site's host see it, and where else it is looked for. */
export function SightsCard({ site }: { site: Site }) {
  const [open, setOpen] = useState(false);
  const { may } = useMayAtSite("sites", site.slug);
  return (
    <Card>
      <CardTitle component="h2">Who sees it</CardTitle>
      <CardBody className="dr-stack">
        <SightsTable sights={site.sights} of={site.name} />
        {open ? (
          <Addresses site={site} onClose={() => setOpen(false)} />
        ) : (
          may && (
            <div className="dr-actions">
              <Button variant="secondary" onClick={() => setOpen(true)}>
                Change where else it is looked for
              </Button>
            </div>
          )
        )}
      </CardBody>
    </Card>
  );
}

function Addresses({ site, onClose }: { site: Site; onClose: () => void }) {
  const client = useQueryClient();
  const [text, setText] = useState(lookedForText(site.looked_for as LookedFor[]));
  const [version] = useState(site.version);
  const { found, wrong } = lookedForOf(text);
  const save = useMutation({
    mutationFn: () => siteChange(site.slug, version, { looked_for: found }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["sites"] });
      onClose();
    },
  });
  return (
    <Form onSubmit={(event) => event.preventDefault()}>
      <FormGroup label="Further addresses of this site" fieldId="looked-for">
        <TextArea
          id="looked-for"
          rows={4}
          value={text}
          onChange={(_event, value) => setText(value)}
          aria-describedby="looked-for-help"
        />
        <FormHelperText>
          <HelperText id="looked-for-help">
            <HelperTextItem variant={wrong ? "error" : "default"}>
              {wrong ||
                "One a line, at most six: HOST:PORT NAME, such as “10.0.0.5:3300 monitor 1”. Ceph's monitors greet, so that one that lives is known as such. The portal and the other site's host open a connection and send nothing."}
            </HelperTextItem>
          </HelperText>
        </FormHelperText>
      </FormGroup>
      <ProblemAlert error={save.error} title="The addresses were not changed" />
      <div className="dr-actions">
        <ActButton whyNot={wrong} isLoading={save.isPending} isDisabled={save.isPending} onClick={() => save.mutate()}>
          Save the addresses
        </ActButton>
        <Button variant="link" onClick={onClose}>
          Leave without saving
        </Button>
      </div>
    </Form>
  );
}
