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
import { useState } from "react";
import { useSearchParams } from "react-router";
import { useMe } from "../lib/may";
import { keepViews, savedViews, type View, viewOf, withView } from "../lib/savedViews";

/** Filters of this table by name: to go back to, and to keep the present one. `fields`: of the address, that make a view. */
export function SavedViews({ table, fields }: { table: string; fields: readonly string[] }) {
  const { username } = useMe();
  const [params, setParams] = useSearchParams();
  const [views, setViews] = useState(() => savedViews(username, table));
  const [open, setOpen] = useState(false);
  const [asking, setAsking] = useState(false);
  const [lost, setLost] = useState(false);
  const now = viewOf(params, fields);
  const shown = views.find((view) => view.search === now);
  const keep = (changed: View[]) => {
    setViews(changed);
    setLost(!keepViews(username, table, changed));
  };
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
          lost={lost}
          onKeep={(name) => keep(withView(views, { name, search: now }))}
          onRemove={(view) => keep(views.filter((one) => one !== view))}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}

function ViewsDialog({
  views,
  lost,
  onKeep,
  onRemove,
  onClose,
}: {
  views: View[];
  lost: boolean;
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
        description="They are kept in this browser only, for you: another browser does not know them. To share a view, send its address."
      />
      <ModalBody className="dr-stack">
        {lost && (
          <Alert variant="warning" isInline component="h2" title="This browser keeps nothing">
            The view is there until you leave this page. To find it again, bookmark the address.
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
