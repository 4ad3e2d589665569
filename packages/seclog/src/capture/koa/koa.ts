import type { IncomingMessage, ServerResponse } from "node:http";
import { runWithRequest } from "../../record/context.ts";
import { Capture, type CaptureLog, type CaptureOptions } from "../capture.ts";
import { type NewServer, onNewServer } from "../new-servers.ts";
import { type Observation, observationOf, observe } from "../observe.ts";
import { type WatchedServer, type WatchOptions, watch } from "../server.ts";
import { type KoaContext, koaRoutes } from "./routes.ts";

export type { CaptureLog, CaptureOptions } from "../capture.ts";
export type { Detector } from "../detectors.ts";
export { type AccessFacts, checkAccess, type LoginFacts, noteError, recordLogin } from "../outcomes.ts";
export type { KoaContext } from "./routes.ts";

/** A Koa middleware, typed by what it is called with. */
export type KoaMiddleware = (context: KoaContext, next: () => Promise<unknown>) => Promise<unknown>;

/** Options of Koa's capture. */
export interface KoaCaptureOptions extends CaptureOptions<KoaContext> {
  /**
   * The application. With it, the capture sees what Node refuses from the first connection on, and errors that the
   * application's own middleware handles.
   * @default found with the first request
   */
  readonly app?: object | undefined;
}

/** The part of a Koa 2 or 3 application that capture uses. */
interface KoaApp {
  readonly middleware: readonly KoaMiddleware[];
  callback(): (request: IncomingMessage, response: ServerResponse) => unknown;
  /** Since Koa 2.16. */
  compose?: ((middleware: readonly KoaMiddleware[]) => unknown) | undefined;
  emit(event: string, ...values: unknown[]): boolean;
}

/**
 * Captures what a Koa 2 or 3 application refuses. Use it before everything else:
 *
 * ```ts
 * app.use(securityCapture(security, { app }));
 * ```
 *
 * Routes are those of `@koa/router`. It also watches the servers that the application listens on for what Node refuses
 * by itself.
 *
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector.
 */
export function securityCapture(log: CaptureLog, options: KoaCaptureOptions = {}): KoaMiddleware {
  const { app, ...others } = options;
  const capture = new Capture(log, others);
  if (app !== undefined) prepare(capture, app as KoaApp);
  return function securityCapture(context, next) {
    let observation: Observation | undefined;
    try {
      const koa = context.app as KoaApp;
      watchErrors(koa);
      const { server } = context.req.socket as { readonly server?: WatchedServer };
      if (typeof server?.emit === "function") watch(capture, server, watchOptions(koa));
      observation = observe(capture, context.req, context.res, context);
      observation.request = context;
      observation.routes = koaRoutes;
    } catch {
      // Not what Koa makes, or a request without a socket: go on without it.
    }
    const run = (): Promise<unknown> => seeing(context, next);
    if (!capture.context) return run();
    return observation === undefined ? runWithRequest(context, run) : observation.enter(run);
  };
}

/** Runs middleware, and lets its error pass. */
async function seeing(context: KoaContext, run: () => unknown): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    observationOf(context.req)?.sawError(error);
    throw error;
  }
}

/** The captures of the listeners that applications have made for servers. */
const listeners = new WeakMap<object, { readonly capture: Capture; readonly app: KoaApp }[]>();

/** Learns which listeners are the application's, and sees the errors of its middleware before other middleware does. */
function prepare(capture: Capture, app: KoaApp): void {
  onNewServer(findListeners);
  const { callback, compose } = app;
  app.callback = function (this: KoaApp) {
    const listener = Reflect.apply(callback, this, []);
    listeners.set(listener, [...(listeners.get(listener) ?? []), { capture, app }]);
    return listener;
  };
  if (typeof compose !== "function" || composing.has(app)) return;
  composing.add(app);
  app.compose = function (this: unknown, middleware) {
    const seen = middleware.map(
      (one): KoaMiddleware =>
        (context, next) =>
          seeing(context, () => one(context, next)),
    );
    return Reflect.apply(compose, this, [seen]);
  };
}

const composing = new WeakSet<object>();

function findListeners(server: NewServer): void {
  for (const listener of server.listeners("request")) {
    if (typeof listener !== "function") continue;
    for (const { capture, app } of listeners.get(listener) ?? []) watch(capture, server, watchOptions(app));
  }
}

function watchOptions(app: KoaApp): WatchOptions {
  return { dress: (req) => ({ app, req }) };
}

const emitting = new WeakSet<object>();

/**
 * Koa and its users emit an error that was handled, by convention. Observed rather than listened for: Koa logs errors
 * itself only if it has no listener for them.
 */
function watchErrors(app: KoaApp): void {
  if (emitting.has(app)) return;
  emitting.add(app);
  const { emit } = app;
  app.emit = function (this: unknown, event, ...values) {
    if (event === "error") sawEmitted(values[0], values[1]);
    return Reflect.apply(emit, this, [event, ...values]);
  };
}

function sawEmitted(error: unknown, context: unknown): void {
  try {
    observationOf((context as KoaContext).req)?.sawError(error);
  } catch {
    // Emitted without its context.
  }
}
