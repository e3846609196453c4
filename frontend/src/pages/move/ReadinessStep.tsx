import { Alert, Button, Checkbox, Flex, Spinner } from "@patternfly/react-core";
import type { UseQueryResult } from "@tanstack/react-query";
import { Link } from "react-router";
import type { Readiness } from "../../api/types";
import { Findings } from "../../components/Findings";
import { Empty, ProblemAlert } from "../../components/Loaded";
import { ReadinessChecks } from "../../components/ReadinessChecks";
import { ReadinessLabel } from "../../components/State";
import { Age } from "../../components/Time";
import { tallyWords } from "../../lib/tally";
import { count } from "../../lib/words";
import { blockersOf, warningsOf } from "./moveReducer";

/** What both sites say now: blockers first, then every image and gate. */
export function ReadinessStep({
  query,
  accepted,
  onAccept,
  onAgain,
}: {
  query: UseQueryResult<Readiness, Error>;
  accepted: boolean;
  onAccept: (accept: boolean) => void;
  onAgain: () => void;
}) {
  if (query.isFetching) {
    return (
      <Flex role="status">
        <Spinner size="md" aria-label="Asking" /> Asking both sites now. This takes up to 20 s.
      </Flex>
    );
  }
  const again = (
    <Button variant="secondary" onClick={onAgain}>
      Ask the sites again
    </Button>
  );
  if (query.error || !query.data) {
    return (
      <div className="dr-stack">
        {query.error ? (
          <ProblemAlert error={query.error} title="Readiness could not be read" />
        ) : (
          <Empty title="Choose a plan first" />
        )}
        {again}
      </div>
    );
  }
  return <Found readiness={query.data} accepted={accepted} onAccept={onAccept} again={again} />;
}

function Found({
  readiness,
  accepted,
  onAccept,
  again,
}: {
  readiness: Readiness;
  accepted: boolean;
  onAccept: (accept: boolean) => void;
  again: React.ReactNode;
}) {
  const blockers = blockersOf(readiness);
  const warnings = warningsOf(readiness);
  return (
    <div className="dr-stack">
      <Flex>
        <ReadinessLabel code={readiness.state} />
        <strong>{tallyWords(readiness.counts)}</strong>
        <span>
          asked <Age at={readiness.checked_at} stale_after_s={60} />
        </span>
        {again}
      </Flex>
      {blockers.length > 0 && (
        <Alert
          component="h2"
          variant="danger"
          isInline
          title={`${count(blockers.length, "finding")} in the way; nothing can be started`}
        >
          Do what is written beside each, then ask the sites again.
          {readiness.images.some((image) => image.verdict === "replica_only") && (
            <>
              {" "}
              If the site is gone and will not answer, this is the wrong door:{" "}
              <Link to="/disaster-failover">Disaster failover</Link>.
            </>
          )}
        </Alert>
      )}
      {readiness.findings.length > 0 && <Findings findings={readiness.findings} label="Findings" />}
      {warnings.length > 0 && blockers.length === 0 && (
        <Checkbox
          id="accept-warnings"
          label={`I have read the ${count(warnings.length, "warning")} and accept what ${warnings.length === 1 ? "it says" : "they say"}`}
          isChecked={accepted}
          onChange={(_event, checked) => onAccept(checked)}
        />
      )}
      <ReadinessChecks readiness={readiness} />
    </div>
  );
}
