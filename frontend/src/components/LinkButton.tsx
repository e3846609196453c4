import { Button, type ButtonProps, Tooltip } from "@patternfly/react-core";
import { Link } from "react-router";

/** A link that looks like a button: another page, nothing is done yet. */
export function LinkButton({ to, whyNot, ...props }: ButtonProps & { to: string; whyNot?: string | null }) {
  if (whyNot) {
    return (
      <Tooltip content={whyNot}>
        <Button {...props} isAriaDisabled />
      </Tooltip>
    );
  }
  return <Button {...props} component={(attributes) => <Link {...attributes} to={to} />} />;
}
