/** Times and durations in words. Times are shown in the browser's zone with UTC beside or beneath. */

export function age_s(at: string, now: number): number {
  return (now - Date.parse(at)) / 1000;
}

/** "12 s ago"; a time in the future (clocks differ) says so instead of pretending to be fresh. */
export function agoWords(seconds: number): string {
  if (Number.isNaN(seconds)) return "at an unknown time";
  if (seconds < -2) return `${spanWords(-seconds)} in the future`;
  return `${spanWords(Math.max(0, seconds))} ago`;
}

/** "12 s", "4 min", "3 h", "5 d": one unit, rounded down, because nobody may be told it is fresher than it is. */
export function spanWords(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** "0:07", "4:31", "1:02:09": a running duration. */
export function elapsedWords(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const pad = (n: number) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

/** "0.31 s", "12 s": how long one command took. */
export function durationWords(seconds: number | null): string {
  if (seconds === null) return "";
  return seconds < 10 ? `${seconds.toFixed(2)} s` : spanWords(seconds);
}

const LOCAL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const LOCAL_CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export function localWords(at: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "unknown" : LOCAL.format(date);
}

/** The time of day alone, for things of the last hours. */
export function clockWords(at: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "unknown" : LOCAL_CLOCK.format(date);
}

/** "2026-11-23 03:41:07 UTC" */
export function utcWords(at: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "unknown" : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
