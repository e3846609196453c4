import { Button, type ButtonProps, Tooltip } from "@patternfly/react-core";

/** A button that, where it cannot be used, stays in place, can be reached by keyboard, and says why. */
export function ActButton({ whyNot, ...props }: ButtonProps & { whyNot: string | null | undefined }) {
  if (!whyNot) return <Button {...props} />;
  return (
    <Tooltip content={whyNot}>
      <Button {...props} onClick={undefined} isAriaDisabled />
    </Tooltip>
  );
}
