import { FormGroup, FormHelperText, HelperText, HelperTextItem, TextInput } from "@patternfly/react-core";

/** The phrase that must be typed before an act. The server checks it again. */
export function ConfirmByTyping({
  phrase,
  typed,
  onType,
}: {
  phrase: string;
  typed: string;
  onType: (text: string) => void;
}) {
  const fits = typed === phrase;
  return (
    <FormGroup label="Type this phrase to confirm" isRequired fieldId="confirm-phrase">
      <p className="dr-phrase-line">
        <code className="dr-phrase">{phrase}</code>
      </p>
      <TextInput
        id="confirm-phrase"
        value={typed}
        onChange={(_event, text) => onType(text)}
        autoComplete="off"
        spellCheck="false"
        aria-describedby="confirm-phrase-help"
        validated={fits ? "success" : "default"}
      />
      <FormHelperText>
        <HelperText id="confirm-phrase-help" aria-live="polite">
          <HelperTextItem variant={fits ? "success" : "default"}>
            {fits
              ? "The phrase fits."
              : typed === ""
                ? "Nothing happens before it fits."
                : "The phrase does not fit yet."}
          </HelperTextItem>
        </HelperText>
      </FormHelperText>
    </FormGroup>
  );
}
