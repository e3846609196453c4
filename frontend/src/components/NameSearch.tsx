import { SearchInput } from "@patternfly/react-core";
import { useState } from "react";

/** A search that is made with Enter, so that the address does not change with every letter. */
export function NameSearch({
  label,
  given,
  onSearch,
}: {
  label: string;
  given: string;
  onSearch: (text: string) => void;
}) {
  const [text, setText] = useState(given);
  const [shown, setShown] = useState(given);
  if (shown !== given) {
    // The address was changed by something else: a saved view, or the browser's Back.
    setShown(given);
    setText(given);
  }
  return (
    <SearchInput
      aria-label={label}
      placeholder={label}
      value={text}
      onChange={(_event, value) => setText(value)}
      onSearch={() => onSearch(text)}
      onClear={() => {
        setText("");
        onSearch("");
      }}
    />
  );
}
