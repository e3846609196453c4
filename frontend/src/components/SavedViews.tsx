import {
  Alert,
  Button,
  Divider,
  Dropdown,
  DropdownItem,
  DropdownList,
  Form,
  FormGroup,
  List,
  ListItem,
  MenuToggle,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useSearchParams } from "react-router";
import { viewKeep, viewRemove } from "../api/commands";
import { viewsQuery } from "../api/queries";
import type { View } from "../api/types";
import { viewOf } from "../lib/savedViews";

/** Filters of this table by name: to go back to, and to keep the present one. `fields`: of the address, that make a view. */
export function SavedViews({ table, fields }: { table: string; fields: readonly string[] }) {
  const client = useQueryClient();
  const [params, setParams] = useSearchParams();
  const kept = useQuery(viewsQuery);
  const views = kept.data?.items.filter((view) => view.table === table) ?? [];
  const [open, setOpen] = useState(false);
  const [asking, setAsking] = useState(false);
  const now = viewOf(params, fields);
  const shown = views.find((view) => view.search === now);
  const onSettled = () => client.invalidateQueries({ queryKey: viewsQuery.queryKey });
  const keep = useMutation({ mutationFn: (name: string) => viewKeep(table, name, now), onSettled });
  const remove = useMutation({ mutationFn: (view: View) => viewRemove(view.id), onSettled });
  return (
    <>
      <Dropdown
        isOpen={open}
        onOpenChange={setOpen}
        onSelect={() => setOpen(false)}
        shouldFocusToggleOnSelect
        toggle={(ref) => (
          <MenuToggle ref={ref} onClick={() => setOpen(!open)} isExpanded={open}>
            {shown ? `View: ${shown.name}` : "Saved views"}
          </MenuToggle>
        )}
      >
        <DropdownList>
          {views.map((view) => (
            <DropdownItem
              key={view.name}
              isSelected={view === shown}
              onClick={() => setParams(new URLSearchParams(view.search))}
            >
              {view.name}
            </DropdownItem>
          ))}
          {views.length > 0 && <Divider component="li" />}
          <DropdownItem onClick={() => setAsking(true)}>Keep or remove a view…</DropdownItem>
        </DropdownList>
      </Dropdown>
      {asking && (
        <ViewsDialog
          views={views}
          problem={(keep.error ?? remove.error ?? kept.error)?.message}
          onKeep={(name) => keep.mutate(name)}
          onRemove={(view) => remove.mutate(view)}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}

function ViewsDialog({
  views,
  problem,
  onKeep,
  onRemove,
  onClose,
}: {
  views: View[];
  problem: string | undefined;
  onKeep: (name: string) => void;
  onRemove: (view: View) => void;
  onClose: () => void;
}) {
  const [name, setName] = useState("");
  const given = name.trim();
  const keep = () => {
    if (!given) return;
    onKeep(given);
    setName("");
  };
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby="views-title">
      <ModalHeader
        title="Views of this table"
        labelId="views-title"
        description="They are kept for you, in whatever browser you sign in. To share a view, send its address."
      />
      <ModalBody className="dr-stack">
        {problem && (
          <Alert variant="danger" isInline component="h2" title="The views were not changed">
            {problem}
          </Alert>
        )}
        {views.length > 0 && (
          <List isPlain aria-label="Views that are kept">
            {views.map((view) => (
              <ListItem key={view.name}>
                {view.name}{" "}
                <Button
                  variant="link"
                  isInline
                  onClick={() => onRemove(view)}
                  aria-label={`Remove the view ${view.name}`}
                >
                  Remove
                </Button>
              </ListItem>
            ))}
          </List>
        )}
        <Form
          onSubmit={(event) => {
            event.preventDefault();
            keep();
          }}
        >
          <FormGroup label="Name for the present filter" fieldId="view-name">
            <TextInput id="view-name" value={name} maxLength={60} onChange={(_event, text) => setName(text)} />
          </FormGroup>
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button isDisabled={!given} onClick={keep}>
          {views.some((view) => view.name === given) ? "Replace the view" : "Keep the view"}
        </Button>
        <Button variant="link" onClick={onClose}>
          Done
        </Button>
      </ModalFooter>
    </Modal>
  );
}
