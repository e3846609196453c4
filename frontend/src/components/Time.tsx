import { Icon } from "@patternfly/react-core";
import HistoryIcon from "@patternfly/react-icons/dist/esm/icons/history-icon";
import { useNow } from "../lib/clock";
import { age_s, agoWords, clockWords, elapsedWords, localWords, utcWords } from "../lib/time";

const both = (at: string) => `${localWords(at)} (local)\n${utcWords(at)}`;

/** Local time, UTC on hover. */
export function Time({ at, clock = false }: { at: string | null; clock?: boolean }) {
  if (!at) return <span>never</span>;
  return (
    <time dateTime={at} title={both(at)} className="dr-time">
      {clock ? clockWords(at) : localWords(at)}
    </time>
  );
}

/** Local time with UTC beneath, for the trail and the reports. */
export function TimeTwice({ at }: { at: string }) {
  return (
    <time dateTime={at} className="dr-time">
      {localWords(at)}
      <br />
      <small className="dr-quiet">{utcWords(at)}</small>
    </time>
  );
}

/** "12 s ago", ticking; from `stale_after_s` on it says "stale" with an icon, because an old figure is not a figure. */
export function Age({ at, stale_after_s }: { at: string | null | undefined; stale_after_s?: number }) {
  const now = useNow();
  if (!at) return <span>never</span>;
  const seconds = age_s(at, now);
  const words = agoWords(seconds);
  const stale = stale_after_s !== undefined && (Number.isNaN(seconds) || seconds > stale_after_s);
  return (
    <time dateTime={at} title={both(at)} className="dr-time">
      {stale ? (
        <>
          <Icon status="warning" isInline>
            <HistoryIcon />
          </Icon>{" "}
          stale, {words}
        </>
      ) : (
        words
      )}
    </time>
  );
}

/** From `start` to `end` or to now, ticking. */
export function Elapsed({ start, end }: { start: string | null; end?: string | null }) {
  const now = useNow();
  if (!start) return <span>not begun</span>;
  const until = end ? Date.parse(end) : now;
  return <span className="dr-time">{elapsedWords((until - Date.parse(start)) / 1000)}</span>;
}
