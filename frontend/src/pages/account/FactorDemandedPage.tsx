import { Alert, Button } from "@patternfly/react-core";
import { useEffect } from "react";
import { ThemeToggle } from "../../components/AppShell";
import { useLeave } from "../../components/PersonMenu";
import { useMe } from "../../lib/may";
import mark from "../../mark.svg";
import { FactorsCard } from "./FactorsCard";

/** All that there is for somebody whose role demands a second factor, until there is one. */
export function FactorDemandedPage() {
  const me = useMe();
  const leave = useLeave();
  useEffect(() => {
    document.title = "Second factor · DR Portal";
  }, []);
  return (
    <main className="dr-signin dr-wide dr-stack">
      <div className="dr-brand">
        <img src={mark} alt="" /> DR Portal
      </div>
      <Alert variant="info" isInline component="h1" title="Your role demands a second factor">
        <p>
          You are signed in as {me.username} ({me.roles.join(", ")}). Set up an app or a key; the portal opens then.
        </p>
      </Alert>
      <FactorsCard />
      <div className="dr-actions">
        <Button variant="link" onClick={() => void leave()}>
          Sign out
        </Button>
        <ThemeToggle />
      </div>
    </main>
  );
}
