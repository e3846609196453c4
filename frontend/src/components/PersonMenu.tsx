import { Divider, Dropdown, DropdownItem, DropdownList, MenuToggle } from "@patternfly/react-core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { signOut } from "../api/commands";
import { useMe } from "../lib/may";

/** The way out, also at the identity provider for who came from there. */
export function useLeave(): () => Promise<void> {
  const { sign_out_at } = useMe();
  const client = useQueryClient();
  return async () => {
    try {
      await signOut();
    } finally {
      // What was read belongs to the person who read it.
      client.clear();
      window.location.assign(sign_out_at || "/");
    }
  };
}

/** Who is signed in, in which roles, and the way out. */
export function PersonMenu() {
  const me = useMe();
  const [open, setOpen] = useState(false);
  const navigate = useNavigate();
  const leave = useLeave();
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      popperProps={{ position: "end" }}
      toggle={(ref) => (
        <MenuToggle ref={ref} onClick={() => setOpen(!open)} isExpanded={open} variant="plainText">
          {me.name} ({me.roles.join(", ") || "no role"})
        </MenuToggle>
      )}
    >
      <DropdownList>
        <DropdownItem onClick={() => void navigate("/account")}>Account and tokens</DropdownItem>
        <Divider component="li" />
        <DropdownItem onClick={() => void leave()}>Sign out</DropdownItem>
      </DropdownList>
    </Dropdown>
  );
}
