import { useSyncExternalStore } from "react";

/**
 * The portal's clock as the browser knows it. Ages are counted against it, not against the browser's own clock:
 * a laptop that is five minutes slow would otherwise call stale figures fresh.
 */

let offset_ms = 0;

/** The header has whole seconds, and the server sets it about once a second; a busy one later. */
const HEADER_ms = 3000;

/**
 * Corrects the clock by an answer's Date header. The portal wrote it after the request was sent and before the answer
 * came, so the difference of the clocks lies between two bounds; an answer that took long only widens them.
 */
export function learnServerTime(date: string | null, sent_ms: number, received_ms = Date.now()): void {
  const server_ms = date ? Date.parse(date) : Number.NaN;
  if (Number.isNaN(server_ms)) return;
  const least_ms = server_ms - received_ms;
  const most_ms = server_ms + HEADER_ms - sent_ms;
  offset_ms = Math.min(Math.max(offset_ms, least_ms), most_ms);
}

export function now_ms(): number {
  return Date.now() + offset_ms;
}

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let tick_ms = 0;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (!timer) {
    tick_ms = now_ms();
    timer = setInterval(() => {
      tick_ms = now_ms();
      for (const each of listeners) each();
    }, 1000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

function snapshot(): number {
  if (timer) return tick_ms;
  const now = now_ms();
  return now - (now % 1000);
}

/** The time in milliseconds, anew every second: one timer for the whole page. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, snapshot);
}
