import {
  FormGroup,
  FormHelperText,
  FormSelect,
  FormSelectOption,
  HelperText,
  HelperTextItem,
} from "@patternfly/react-core";

/** What a plan may want done at a site that came back, before anything else there. */
export const RUNGS = [
  { rung: 1, word: "VMs off" },
  { rung: 2, word: "VMs off, images demoted" },
  { rung: 3, word: "VMs off, they and their images locked, images demoted, their hosts disabled" },
  { rung: 4, word: "whoever writes shut out of Ceph first, then as rung 3" },
];

export const rungWord = (rung: number) => RUNGS.find((one) => one.rung === rung)?.word ?? "not known to this page";

export function FenceSelect({ value, onChange }: { value: number; onChange: (rung: number) => void }) {
  return (
    <FormGroup label="Fence of a site that came back" fieldId="fence-rung">
      <FormSelect
        id="fence-rung"
        value={value}
        onChange={(_event, rung) => onChange(Number(rung))}
        aria-describedby="fence-rung-help"
      >
        {RUNGS.map((one) => (
          <FormSelectOption key={one.rung} value={one.rung} label={`Rung ${one.rung}: ${one.word}`} />
        ))}
      </FormSelect>
      <FormHelperText>
        <HelperText id="fence-rung-help">
          <HelperTextItem>
            Rung 3 keeps people from starting a VM there by mistake; its host takes no new VM until the end. Rung 4 cuts
            a VM's writes off at once, as a pulled cable would, and needs the site program there. While the site is
            silent, a named person's word that it is cut off is always asked for.
          </HelperTextItem>
        </HelperText>
      </FormHelperText>
    </FormGroup>
  );
}
