import { Button } from "@patternfly/react-core";
import CopyIcon from "@patternfly/react-icons/dist/esm/icons/copy-icon";
import { useState } from "react";

/** Copies `text` exactly; where the browser forbids the clipboard (plain http), through a selected text field. */
async function copy(text: string): Promise<void> {
  if (window.isSecureContext && navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <Button
      variant="plain"
      size="sm"
      icon={<CopyIcon />}
      aria-label={copied ? "Copied" : label}
      title={copied ? "Copied" : label}
      onClick={() => {
        void copy(text).then(() => {
          setCopied(true);
          setTimeout(() => setCopied(false), 2000);
        });
      }}
    >
      {copied ? "Copied" : null}
    </Button>
  );
}

/** A command byte for byte as it runs, to read and to copy. */
export function Command({ text }: { text: string }) {
  return (
    <div className="dr-command">
      <pre>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} label="Copy the command" />
    </div>
  );
}

/** Raw output, as a site gave it. */
export function Raw({ text, label }: { text: string; label: string }) {
  if (text === "") return <p className="dr-quiet">{label}: nothing was printed.</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section className="dr-raw" tabIndex={0} aria-label={label}>
      <pre>{text}</pre>
    </section>
  );
}
