import {
  Button,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextInput,
} from "@patternfly/react-core";
import { type QueryKey, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ProblemAlert } from "./Loaded";

/** Seconds that were agreed. Blank: nothing. */
export function TargetDialog({
  title,
  help,
  target_s,
  save: keep,
  changes,
  onClose,
}: {
  title: string;
  help: string;
  target_s: number | null;
  save: (seconds: number | null) => Promise<unknown>;
  changes: QueryKey;
  onClose: () => void;
}) {
  const client = useQueryClient();
  const [text, setText] = useState(target_s === null ? "" : String(target_s));
  const save = useMutation({
    mutationFn: () => keep(text.trim() === "" ? null : Number(text)),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: changes });
      onClose();
    },
  });
  const valid = /^\s*(\d{1,7}\s*)?$/.test(text);
  return (
    <Modal variant="small" isOpen onClose={onClose} aria-labelledby="target-title">
      <ModalHeader title={title} labelId="target-title" />
      <ModalBody>
        <ProblemAlert error={save.error} title="The target was not changed" />
        <Form
          id="target-form"
          onSubmit={(event) => {
            event.preventDefault();
            if (valid) save.mutate();
          }}
        >
          <FormGroup label="Seconds" fieldId="target-seconds">
            <TextInput
              id="target-seconds"
              value={text}
              inputMode="numeric"
              validated={valid ? "default" : "error"}
              onChange={(_event, value) => setText(value)}
            />
            <FormHelperText>
              <HelperText>
                <HelperTextItem variant={valid ? "default" : "error"}>{help}</HelperTextItem>
              </HelperText>
            </FormHelperText>
          </FormGroup>
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="target-form" isDisabled={!valid || save.isPending} isLoading={save.isPending}>
          Save the target
        </Button>
        <Button variant="link" onClick={onClose}>
          Leave it
        </Button>
      </ModalFooter>
    </Modal>
  );
}
