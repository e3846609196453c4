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
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { rpoTargetSet } from "../api/commands";
import { ProblemAlert } from "./Loaded";

/** What was agreed for a group. Blank: nothing. */
export function RpoTargetDialog({
  group,
  target_s,
  onClose,
}: {
  group: number;
  target_s: number | null;
  onClose: () => void;
}) {
  const client = useQueryClient();
  const [text, setText] = useState(target_s === null ? "" : String(target_s));
  const save = useMutation({
    mutationFn: () => rpoTargetSet(group, text.trim() === "" ? null : Number(text)),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["pair", "exposure"] });
      onClose();
    },
  });
  const valid = /^\s*(\d{1,7}\s*)?$/.test(text);
  return (
    <Modal variant="small" isOpen onClose={onClose} aria-labelledby="rpo-title">
      <ModalHeader title="RPO target of the group" labelId="rpo-title" />
      <ModalBody>
        <ProblemAlert error={save.error} title="The target was not changed" />
        <Form
          id="rpo-form"
          onSubmit={(event) => {
            event.preventDefault();
            if (valid) save.mutate();
          }}
        >
          <FormGroup label="Seconds" fieldId="rpo-seconds">
            <TextInput
              id="rpo-seconds"
              value={text}
              inputMode="numeric"
              validated={valid ? "default" : "error"}
              onChange={(_event, value) => setText(value)}
            />
            <FormHelperText>
              <HelperText>
                <HelperTextItem variant={valid ? "default" : "error"}>
                  How much may be lost, as agreed; blank for nothing agreed. It stops no run: exposure is held against
                  it.
                </HelperTextItem>
              </HelperText>
            </FormHelperText>
          </FormGroup>
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="rpo-form" isDisabled={!valid || save.isPending} isLoading={save.isPending}>
          Save the target
        </Button>
        <Button variant="link" onClick={onClose}>
          Leave it
        </Button>
      </ModalFooter>
    </Modal>
  );
}
