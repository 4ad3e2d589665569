/**
 * Watches a server for requests that no application code ever sees, because Node's parser refuses them: an unknown
 * method, a header that is too large, bytes that are not HTTP, HTTP/1.1 without `Host`.
 *
 * It observes what the server emits instead of listening for `clientError`: Node responds to such a request itself only
 * without a listener, and ours would have to respond in its place, in the words of every Node version. A request
 * without `Host` is not emitted: Node's diagnostics channel reports it.
 */
import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage } from "node:http";
import type { Capture } from "./capture.ts";
import { parserRefusal } from "./parser-refusal.ts";
import type { RouteKnowledge } from "./routes.ts";

/** The part of `http.Server` (and of the servers of `https` and `http2`) that capture uses. */
export interface WatchedServer {
  emit(event: string | symbol, ...values: never[]): boolean;
  listenerCount(event: string | symbol): number;
}

/** What an adapter adds to the watch. */
export interface WatchOptions {
  /** Knows which methods a path has. */
  readonly routes?: RouteKnowledge | undefined;
  /** Called with every request before the application; must not throw. */
  readonly onRequest?: ((request: unknown, response: unknown) => void) | undefined;
  /**
   * Whether the capture covers this path; `undefined` when the path could not be read. Must not throw.
   * @default it covers all
   */
  readonly covers?: ((url: string | undefined) => boolean) | undefined;
}

interface Watcher extends WatchOptions {
  readonly capture: Capture;
}

/** The captures of every watched server. */
const watched = new WeakMap<object, Watcher[]>();
let subscribed = false;

/**
 * Starts watching, once per server and log, or once per server and part of an application. Returns the function that
 * stops it.
 */
export function watch(capture: Capture, server: WatchedServer, options: WatchOptions = {}): () => void {
  const known = watched.get(server);
  const same = known?.some(({ capture: { log }, covers }) => log === capture.log && covers === options.covers);
  if (same) return () => {};
  const watchers = known ?? [];
  const watcher = { capture, ...options };
  watchers.push(watcher);
  const unwrap = known === undefined ? watchEvents(server, watchers) : undefined;
  return () => {
    watchers.splice(watchers.indexOf(watcher), 1);
    if (watchers.length === 0) unwrap?.();
  };
}

/** Observes what the server emits. Returns the function that stops it. */
function watchEvents(server: WatchedServer, watchers: Watcher[]): () => void {
  watched.set(server, watchers);
  // Once for all servers; the subscription keeps none of them alive.
  if (!subscribed) subscribe("http.server.request.start", recordMissingHost);
  subscribed = true;
  const emit = server.emit as (event: string | symbol, ...values: unknown[]) => boolean;
  function emitWatched(this: unknown, event: string | symbol, ...values: unknown[]): boolean {
    const pass = (): boolean => Reflect.apply(emit, this, [event, ...values]) as boolean;
    if (event === "clientError") return recordClientError(server, watchers, values[0], values[1], pass);
    if (event === "request") for (const { onRequest } of watchers) onRequest?.(values[0], values[1]);
    return pass();
  }
  server.emit = emitWatched;
  return () => {
    // Code that wrapped `emit` after us still calls ours, which then only passes on.
    if (server.emit !== emitWatched) return;
    server.emit = emit;
    watched.delete(server);
  };
}

/** The captures that a refused request is for: one for each log. */
function watchersFor(watchers: readonly Watcher[], url: string | undefined): readonly Watcher[] {
  const logs = new Set<object>();
  return watchers.filter(({ capture: { log }, covers }) => {
    if (logs.has(log) || (covers !== undefined && !covers(url))) return false;
    logs.add(log);
    return true;
  });
}

interface StartedRequest {
  readonly request: IncomingMessage;
  readonly server: object & { readonly requireHostHeader?: boolean };
}

/** RFC 9112, section 3.2. Node publishes the request, and then responds with 400 without emitting it. */
function recordMissingHost(message: unknown): void {
  try {
    const { request, server } = message as StartedRequest;
    if (request.headers.host !== undefined || request.httpVersion !== "1.1" || !server.requireHostHeader) return;
    for (const { capture } of watchersFor(watched.get(server) ?? [], request.url)) {
      capture.record("malformed", request, { reason: "MISSING_HOST", statusCode: 400 });
    }
  } catch {
    // Not a message of Node's.
  }
}

/** @param pass passes the error on to the listeners: their response, and what they throw, are not our business */
function recordClientError(
  server: WatchedServer,
  watchers: readonly Watcher[],
  error: unknown,
  socket: unknown,
  pass: () => boolean,
): boolean {
  const refusal = parserRefusal(server, error, socket);
  if (refusal === undefined) return pass();
  try {
    return pass();
  } finally {
    const { code, request, statusCode } = refusal.end();
    for (const { capture, routes } of watchersFor(watchers, request.url)) {
      const facts = { reason: code, statusCode };
      if (code === "HPE_INVALID_METHOD" && request.method !== undefined) {
        const other = routes?.otherMethods({ request }, 400);
        capture.record("wrongMethod", request, {
          ...facts,
          ...(other !== undefined && { allowedMethods: other.allowed.join(", "), route: other.route }),
        });
      } else {
        capture.record("malformed", request, facts);
      }
    }
  }
}
