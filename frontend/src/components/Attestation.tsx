import {
  FormGroup,
  FormHelperText,
  FormSelect,
  FormSelectOption,
  HelperText,
  HelperTextItem,
  TextArea,
} from "@patternfly/react-core";

/** A person's word that nothing runs at the lost site: how surely, and why it goes on where the plan wants more. */
export type Attested = { attestation: string; attested_rung: number; deviation: string };

export const NOTHING_ATTESTED: Attested = { attestation: "", attested_rung: 5, deviation: "" };

const WORDS = [
  { rung: 5, word: "Power or network cut (rung 5)" },
  { rung: 1, word: "VMs seen to be off, nothing cut (rung 1)" },
];

/** Empty when it can be sent. */
export function lacking(said: Attested, wanted: number, site: string) {
  if (said.attestation.trim() === "") return `Say who made sure that nothing runs at ${site}.`;
  if (said.attested_rung < wanted && said.deviation.trim() === "")
    return `Say why it goes on below rung ${wanted}, which the plan wants.`;
  return "";
}

export const toSend = (said: Attested): Attested => ({
  attestation: said.attestation.trim(),
  attested_rung: said.attested_rung,
  deviation: said.deviation.trim(),
});

export function Attestation(props: {
  site: string;
  wanted: number;
  value: Attested;
  onChange: (value: Attested) => void;
}) {
  const { site, wanted, value, onChange } = props;
  return (
    <>
      <FormGroup label={`Who made sure that nothing runs at ${site}, and how?`} isRequired fieldId="attestation">
        <TextArea
          id="attestation"
          rows={2}
          value={value.attestation}
          onChange={(_event, attestation) => onChange({ ...value, attestation })}
          aria-describedby="attestation-help"
        />
        <FormHelperText>
          <HelperText id="attestation-help">
            <HelperTextItem>Power or network cut, by whom. You sign it with your name.</HelperTextItem>
          </HelperText>
        </FormHelperText>
      </FormGroup>
      <FormGroup label="How surely?" fieldId="attested-rung">
        <FormSelect
          id="attested-rung"
          value={value.attested_rung}
          onChange={(_event, rung) => onChange({ ...value, attested_rung: Number(rung) })}
        >
          {WORDS.map((one) => (
            <FormSelectOption key={one.rung} value={one.rung} label={one.word} />
          ))}
        </FormSelect>
      </FormGroup>
      {value.attested_rung < wanted && (
        <FormGroup
          label={`The plan wants rung ${wanted}. Why does it go on below it?`}
          isRequired
          fieldId="fence-deviation"
        >
          <TextArea
            id="fence-deviation"
            rows={2}
            value={value.deviation}
            onChange={(_event, deviation) => onChange({ ...value, deviation })}
          />
        </FormGroup>
      )}
    </>
  );
}
