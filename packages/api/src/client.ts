/** A typed client of the HTTP API. */
import type {
  ApiFailure,
  CatalogueResult,
  CountResult,
  EntityDetail,
  EventDetail,
  EventProof,
  EventsPage,
  FacetsResult,
  IntegrityResult,
  SessionResult,
  SourcesResult,
  TimelineResult,
  VerificationState,
} from "./contract.ts";
import type { EventRecord } from "./event-record.ts";

/** Options of {@link apiClient}. */
export interface ApiClientOptions {
  /** Where the API is, such as `http://127.0.0.1:7300` or a path of this page's server. */
  readonly url: string;
  /** The token that `seclog start` prints. @default none, for a session by cookie */
  readonly token?: string;
  /** @default the global `fetch` */
  readonly fetch?: typeof fetch;
}

/** What selects events, in every request. */
export interface Selection {
  /** A query. @default everything */
  readonly q?: string;
  /** A time as in queries. */
  readonly since?: string;
  readonly until?: string;
  /** Answers after about so many milliseconds with what it has. @default 1000 */
  readonly budget?: number;
}

/** A request that the API refused, or could not answer. */
export class ApiError extends Error {
  readonly status: number;
  readonly failure: ApiFailure["error"];

  constructor(status: number, failure: ApiFailure["error"]) {
    super(failure.message);
    this.name = "ApiError";
    this.status = status;
    this.failure = failure;
  }
}

/** What the stream sends. */
export type StreamItem =
  /** What is stored from now on will come. */
  | { readonly kind: "ready"; readonly id: string }
  /** New events, in the order of each source. An event may come twice after a reconnection: compare its id. */
  | { readonly kind: "events"; readonly id: string; readonly events: readonly EventRecord[] }
  /** Some events may be missing, since the stream was away for too long: search for them. */
  | { readonly kind: "gap"; readonly id: string };

/** The API's client. */
export interface ApiClient {
  events(
    selection?: Selection & { readonly limit?: number; readonly order?: "newest" | "oldest"; readonly cursor?: string },
    signal?: AbortSignal,
  ): Promise<EventsPage>;
  count(selection?: Selection & { readonly before?: string }, signal?: AbortSignal): Promise<CountResult>;
  timeline(
    selection?: Selection & {
      readonly buckets?: number;
      readonly by?: "level" | "category" | "none";
      readonly before?: string;
    },
    signal?: AbortSignal,
  ): Promise<TimelineResult>;
  facets(
    selection: Selection & { readonly fields: string; readonly limit?: number; readonly before?: string },
    signal?: AbortSignal,
  ): Promise<FacetsResult>;
  event(id: string, signal?: AbortSignal): Promise<EventDetail>;
  proof(id: string, signal?: AbortSignal): Promise<EventProof>;
  entity(
    kind: "ip" | "actor" | "target" | "route" | "service",
    value: string,
    selection?: Selection,
    signal?: AbortSignal,
  ): Promise<EntityDetail>;
  sources(signal?: AbortSignal): Promise<SourcesResult>;
  integrity(signal?: AbortSignal): Promise<IntegrityResult>;
  catalogue(signal?: AbortSignal): Promise<CatalogueResult>;
  /** Who is signed in, and what they may. */
  session(signal?: AbortSignal): Promise<SessionResult>;
  /** The verification that runs, or ran last. */
  verification(signal?: AbortSignal): Promise<VerificationState>;
  /** Starts one, with public keys that do not come from the database. @default the keys that the server was given */
  startVerification(vkeys?: readonly string[], signal?: AbortSignal): Promise<VerificationState>;
  /** The address of a download of the events that match: a page's link to it needs no script. */
  exportUrl(selection: Omit<Selection, "budget"> & { readonly format?: string }): string;
  /** Follows the log until the signal aborts or the server closes. Pass the last item's id to go on from there. */
  stream(
    selection: { readonly q?: string; readonly lastId?: string },
    signal?: AbortSignal,
  ): AsyncGenerator<StreamItem>;
}

/** Makes a client. */
export function apiClient({ url, token, fetch: ask = fetch }: ApiClientOptions): ApiClient {
  const base = url.replace(/\/+$/, "");
  const address = (path: string, parameters: object): string => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, String(value));
    return `${base}/api/v1/${path}${query.size === 0 ? "" : `?${query}`}`;
  };
  const request = async (
    path: string,
    parameters: object,
    signal?: AbortSignal,
    headers: { [name: string]: string } = {},
    method = "GET",
  ): Promise<Response> => {
    const response = await ask(address(path, parameters), {
      method,
      headers: {
        accept: "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(signal === undefined ? {} : { signal }),
    });
    if (response.ok) return response;
    throw new ApiError(response.status, await failureOf(response));
  };
  const get = async <T>(path: string, parameters: object, signal?: AbortSignal): Promise<T> =>
    (await (await request(path, parameters, signal)).json()) as T;
  return {
    events: (selection = {}, signal) => get("events", selection, signal),
    count: (selection = {}, signal) => get("count", selection, signal),
    timeline: (selection = {}, signal) => get("timeline", selection, signal),
    facets: (selection, signal) => get("facets", selection, signal),
    event: (id, signal) => get(`events/${encodeURIComponent(id)}`, {}, signal),
    proof: (id, signal) => get(`events/${encodeURIComponent(id)}/proof`, {}, signal),
    entity: (kind, value, selection = {}, signal) =>
      get(`entities/${kind}/${encodeURIComponent(value)}`, selection, signal),
    sources: (signal) => get("sources", {}, signal),
    integrity: (signal) => get("integrity", {}, signal),
    catalogue: (signal) => get("catalogue", {}, signal),
    session: (signal) => get("session", {}, signal),
    verification: (signal) => get("verification", {}, signal),
    startVerification: async (vkeys, signal) => {
      const vkey = vkeys?.join(" ");
      return (await (await request("verification", { vkey }, signal, {}, "POST")).json()) as VerificationState;
    },
    exportUrl: (selection) => address("export", selection),
    async *stream({ q, lastId }, signal) {
      const resumed: { [name: string]: string } = lastId === undefined ? {} : { "last-event-id": lastId };
      const response = await request("stream", { q }, signal, { accept: "text/event-stream", ...resumed });
      if (response.body !== null) yield* readStream(response.body);
    },
  };
}

/** The failure that a response describes; one of a proxy in between may describe nothing. */
async function failureOf(response: Response): Promise<ApiFailure["error"]> {
  const text = await response.text();
  try {
    return (JSON.parse(text) as ApiFailure).error;
  } catch {
    return { code: "HTTP", message: `the server answered ${response.status}: ${text.slice(0, 200)}` };
  }
}

/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as our server writes them. */
async function* readStream(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamItem> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const item = readItem(text.slice(0, end));
        text = text.slice(end + 2);
        if (item !== undefined) yield item;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function readItem(block: string): StreamItem | undefined {
  const lines = new Map(
    block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
  );
  const [kind, id = "", data = "[]"] = [lines.get("event"), lines.get("id"), lines.get("data")];
  if (kind === "events") return { kind, id, events: JSON.parse(data) as readonly EventRecord[] };
  return kind === "gap" || kind === "ready" ? { kind, id } : undefined;
}
