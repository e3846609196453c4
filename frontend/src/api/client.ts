import createClient from "openapi-fetch";
import { learnServerTime } from "../lib/clock";
import type { paths } from "./schema";

/** A refusal as the portal words it (RFC 9457), or what stands in for one when the portal could not be asked. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly extra: Record<string, unknown>;

  constructor(body: Record<string, unknown>, status: number) {
    const detail = typeof body.detail === "string" ? body.detail : "The portal did not say why.";
    super(detail);
    this.status = status;
    this.code = typeof body.code === "string" ? body.code : "unknown";
    this.title = typeof body.title === "string" ? body.title : "Error";
    this.detail = detail;
    this.extra = body;
  }

  /** The sentences per field of a 422. */
  get fields(): Record<string, string> {
    const errors = Array.isArray(this.extra.errors) ? this.extra.errors : [];
    return Object.fromEntries(errors.map((e: { field: string; message: string }) => [e.field, e.message]));
  }
}

const UNREACHABLE =
  "The portal did not answer. Whatever was running goes on without this page; the page tries again by itself.";

let csrfToken = "";

/** The token of the current session; changes at sign-in. */
export function setCsrfToken(token: string): void {
  csrfToken = token;
}

async function send(request: Request): Promise<Response> {
  const sent_ms = Date.now();
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem({ code: "unreachable", title: "No answer", detail: UNREACHABLE }, 0);
  }
  learnServerTime(response.headers.get("Date"), sent_ms);
  if (response.ok) return response;
  let body: Record<string, unknown> = {};
  try {
    body = (await response.json()) as Record<string, unknown>;
  } catch {
    body = {
      title: "Error",
      detail: `The portal answered ${response.status} without a sentence. Look before you try again.`,
    };
  }
  throw new Problem(body, response.status);
}

/** The generated paths without the prefix they all share. */
type Paths = { [P in keyof paths as P extends `/api/v1${infer Rest}` ? Rest : never]: paths[P] };

/** What may stand behind the question mark of a read. */
export type QueryOf<P extends keyof Paths> = Paths[P] extends { get: { parameters: { query?: infer Query } } }
  ? NonNullable<Query>
  : never;

export const api = createClient<Paths>({ baseUrl: "/api/v1", fetch: send });

api.use({
  onRequest({ request }) {
    if (request.method !== "GET") request.headers.set("X-CSRFToken", csrfToken);
    return request;
  },
});

/** The body of an answer; refusals have been thrown as Problem before. */
export async function answer<T>(call: Promise<{ data?: T }>): Promise<T> {
  return (await call).data as T;
}

/** Headers that say which version was looked at. */
export const ifMatch = (version: number) => ({ "If-Match": `"${version}"` });
