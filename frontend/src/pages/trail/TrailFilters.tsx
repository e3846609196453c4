import { Button, Form, FormGroup, Grid, GridItem, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { useSearchParams } from "react-router";
import { fieldsOf, filled, localInput, type TrailFields, utcOfInput } from "../../lib/trailFilter";

type Field = { name: keyof TrailFields; label: string; type: "text" | "number" | "datetime-local" };

const SHOWN: Field[] = [
  { name: "since", label: "From (local time)", type: "datetime-local" },
  { name: "until", label: "Until (local time)", type: "datetime-local" },
  { name: "text", label: "Text", type: "text" },
  { name: "actor", label: "Who", type: "text" },
  { name: "action", label: "What (“run.” finds all of runs)", type: "text" },
  { name: "site", label: "Site (short name)", type: "text" },
  { name: "run", label: "Run (number)", type: "number" },
];

/** The filters stand in the address, so a page of the trail can be sent to somebody else. */
export function TrailFilters() {
  const [params, setParams] = useSearchParams();
  const [given, setGiven] = useState(() => fieldsOf(params));
  const isTime = (field: Field) => field.type === "datetime-local";
  return (
    <Form
      aria-label="Filter the trail"
      onSubmit={(event) => {
        event.preventDefault();
        setParams(filled(given));
      }}
    >
      <Grid hasGutter>
        {SHOWN.map((field) => (
          <GridItem key={field.name} sm={6} lg={3}>
            <FormGroup label={field.label} fieldId={`filter-${field.name}`}>
              <TextInput
                id={`filter-${field.name}`}
                type={field.type}
                value={isTime(field) ? localInput(given[field.name]) : given[field.name]}
                onChange={(_event, value) =>
                  setGiven({ ...given, [field.name]: isTime(field) ? utcOfInput(value) : value })
                }
              />
            </FormGroup>
          </GridItem>
        ))}
        <GridItem sm={6} lg={3} className="dr-align-end">
          <Button type="submit" variant="secondary">
            Filter
          </Button>{" "}
          <Button variant="link" onClick={() => setParams({})}>
            Show all
          </Button>
        </GridItem>
      </Grid>
    </Form>
  );
}
