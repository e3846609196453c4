import type { KeyboardEvent } from "react";

/** Escape closes a drawer; an Escape meant for a dialog that was opened from it does not come from inside the drawer. */
export function closeOnEscape(close: () => void) {
  return (event: KeyboardEvent<HTMLElement>) => {
    if (event.key === "Escape" && event.currentTarget.contains(event.target as Node)) close();
  };
}
