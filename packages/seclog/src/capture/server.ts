/**
 * Watches a server for requests that no application code ever sees, because Node's parser refuses them: an unknown
 * method, a header that is too large, bytes that are not HTTP, HTTP/1.1 without `Host`.
 *
 * It observes what the server emits instead of listening for `clientError`: Node responds to such a request itself only
 * without a listener, and ours would have to respond in its place, in the words of every Node version. A request
 * without `Host` is not emitted: Node's diagnostics channel reports it.
 */
import { subscribe } from "node:diagnostics_channel";
import type { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Capture } from "./capture.ts";
import { parserRefusal } from "./parser-refusal.ts";
import type { RouteKnowledge } from "./routes.ts";
import { watchUpgrade } from "./upgrades.ts";

/** The part of `http.Server` (and of the servers of `https` and `http2`) that capture uses. */
export interface WatchedServer {
  emit(event: string | symbol, ...values: never[]): boolean;
  listenerCount(event: string | symbol): number;
}

/** What an adapter adds to the watch. */
export interface WatchOptions {
  /** Knows which methods a path has. */
  readonly routes?: RouteKnowledge | undefined;
  /** Runs the application for every request, by `pass`; must not throw but what that throws. */
  readonly around?: ((request: unknown, response: unknown, pass: () => boolean) => boolean) | undefined;
  /** Called with every request before the application; must not throw. */
  readonly onRequest?: ((request: unknown, response: unknown) => void) | undefined;
  /**
   * Whether the capture covers this path; `undefined` when the path could not be read. Must not throw.
   * @default it covers all
   */
  readonly covers?: ((url: string | undefined) => boolean) | undefined;
  /**
   * Makes the framework's request of Node's, for those that the framework never sees: it knows which proxies to trust.
   * May throw.
   * @default Node's own
   */
  readonly dress?: ((request: IncomingMessage) => object) | undefined;
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
  if (!subscribed) subscribe("http.server.request.start", recordHiddenRefusal);
  subscribed = true;
  const unlisten = listenForConnect(server, watchers);
  const emit = server.emit as (event: string | symbol, ...values: unknown[]) => boolean;
  function emitWatched(this: unknown, event: string | symbol, ...values: unknown[]): boolean {
    const pass = (): boolean => Reflect.apply(emit, this, [event, ...values]) as boolean;
    if (event === "clientError") return recordClientError(server, watchers, values[0], values[1], pass);
    if (event === "upgrade") watchUpgrades(watchers, values[0], values[1]);
    if (event === "connect") return recordConnect(watchers, values[0], values[1], pass);
    if (event !== "request") return pass();
    let run = pass;
    for (const { onRequest, around } of watchers) {
      onRequest?.(values[0], values[1]);
      if (around !== undefined) {
        const inner = run;
        run = () => around(values[0], values[1], inner);
      }
    }
    return run();
  }
  server.emit = emitWatched;
  return () => {
    unlisten();
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
  readonly server: WatchedServer & { readonly requireHostHeader?: boolean };
}

/**
 * Node publishes these requests, and then refuses them without emitting them: HTTP/1.1 without `Host` (RFC 9112,
 * section 3.2), and an expectation other than `100-continue` (RFC 9110, section 10.1.1).
 */
function recordHiddenRefusal(message: unknown): void {
  try {
    const { request, server } = message as StartedRequest;
    const { host, expect } = request.headers;
    if (request.httpVersion !== "1.1") return;
    let facts: { readonly reason: string; readonly statusCode: number };
    if (host === undefined && server.requireHostHeader) facts = { reason: "MISSING_HOST", statusCode: 400 };
    else if (expect !== undefined && !/100-continue/i.test(expect) && server.listenerCount("checkExpectation") === 0) {
      facts = { reason: "UNMET_EXPECTATION", statusCode: 417 };
    } else return;
    for (const watcher of watchersFor(watched.get(server) ?? [], request.url)) {
      watcher.capture.record("malformed", dressed(watcher, request), facts);
    }
  } catch {
    // Not a message of Node's.
  }
}

/** The framework's request, if it can be made. */
function dressed({ dress }: Watcher, request: IncomingMessage): object {
  try {
    return dress?.(request) ?? request;
  } catch {
    return request;
  }
}

function watchUpgrades(watchers: readonly Watcher[], request: unknown, socket: unknown): void {
  try {
    const raw = request as IncomingMessage;
    // The first one reads the answer: there is one connection.
    for (const watcher of watchersFor(watchers, raw.url)) {
      watchUpgrade(watcher.capture, raw, dressed(watcher, raw), socket as Socket);
    }
  } catch {
    // Not what Node emits.
  }
}

/**
 * Node closes the connection of a `CONNECT` that no listener takes, and says nothing of it. Ours does the same, unless
 * the application has one. HTTP/2 emits the event always, and answers 405.
 */
function listenForConnect(server: WatchedServer, watchers: readonly Watcher[]): () => void {
  if (!("requireHostHeader" in server) || "updateSettings" in server) return () => {};
  const emitter = server as unknown as EventEmitter;
  const refuse = (request: IncomingMessage, socket: Socket): void => {
    if (emitter.listenerCount("connect") > 1) return;
    recordWrongMethod(watchers, request, undefined);
    socket.destroy();
  };
  emitter.on("connect", refuse);
  return () => void emitter.off("connect", refuse);
}

/** Over HTTP/2. */
function recordConnect(
  watchers: readonly Watcher[],
  request: unknown,
  response: unknown,
  pass: () => boolean,
): boolean {
  const taken = pass();
  const http2 = typeof (response as { readonly stream?: unknown } | undefined)?.stream === "object";
  if (!taken && http2) recordWrongMethod(watchers, request as IncomingMessage, 405);
  return taken;
}

function recordWrongMethod(
  watchers: readonly Watcher[],
  request: IncomingMessage,
  statusCode: number | undefined,
): void {
  // An authority is not a path, so no scope of an application has it.
  const logs = new Set<object>();
  for (const { capture } of watchers) {
    if (logs.has(capture.log)) continue;
    logs.add(capture.log);
    capture.record("wrongMethod", request, { statusCode });
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
