import {
  Button,
  Form,
  FormGroup,
  List,
  ListItem,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextArea,
} from "@patternfly/react-core";
import { type ReactNode, useState } from "react";
import { ProblemAlert } from "./Loaded";

/** Asks before an act: what follows from it, in sentences; why, in the person's words; and the act on the button. */
export function ReasonDialog({
  title,
  consequences,
  button,
  danger = false,
  reasonNeeded = false,
  withReason = true,
  whyNot = "",
  busy,
  error,
  children,
  onConfirm,
  onClose,
}: {
  title: string;
  consequences: string[];
  button: string;
  danger?: boolean;
  reasonNeeded?: boolean;
  withReason?: boolean;
  whyNot?: string;
  busy: boolean;
  error: Error | null;
  children?: ReactNode;
  onConfirm: (reason: string) => void;
  onClose: () => void;
}) {
  const [reason, setReason] = useState("");
  const missing = reasonNeeded && reason.trim() === "";
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="dialog-title">
      <ModalHeader title={title} labelId="dialog-title" titleIconVariant={danger ? "warning" : undefined} />
      <ModalBody>
        <Form onSubmit={(event) => event.preventDefault()}>
          <List>
            {consequences.map((sentence) => (
              <ListItem key={sentence}>{sentence}</ListItem>
            ))}
          </List>
          {children}
          {withReason && (
            <FormGroup
              label={reasonNeeded ? "Why?" : "Why? (optional; it goes into the trail)"}
              isRequired={reasonNeeded}
              fieldId="dialog-reason"
            >
              <TextArea id="dialog-reason" value={reason} onChange={(_event, text) => setReason(text)} rows={2} />
            </FormGroup>
          )}
          <ProblemAlert error={error} />
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button
          variant={danger ? "danger" : "primary"}
          isLoading={busy}
          isDisabled={busy || missing || whyNot !== ""}
          onClick={() => onConfirm(reason.trim())}
        >
          {button}
        </Button>
        <Button variant="link" onClick={onClose}>
          Leave it as it is
        </Button>
      </ModalFooter>
    </Modal>
  );
}
