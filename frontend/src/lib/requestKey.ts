/**
 * A key that makes a request repeatable: the same key again gives the same run, never a second one.
 * crypto.randomUUID exists only on https and localhost; getRandomValues exists everywhere.
 */
export function requestKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
