import type { IncomingMessage, ServerResponse } from "node:http";
import { runWithRequest } from "../../record/context.ts";
import { Capture, type CaptureLog, type CaptureOptions } from "../capture.ts";
import { type NewServer, onNewServer } from "../new-servers.ts";
import { type Observation, observationOf, observe } from "../observe.ts";
import type { RouteKnowledge } from "../routes.ts";
import { type WatchedServer, type WatchOptions, watch } from "../server.ts";
import { type ExpressApp, type ExpressLayer, type ExpressRequest, otherMethods, rootApp, stackOf } from "./routes.ts";

export type { CaptureLog, CaptureOptions } from "../capture.ts";
export type { Detector } from "../detectors.ts";
export { type AccessFacts, checkAccess, type LoginFacts, noteError, recordLogin } from "../outcomes.ts";

/** An Express middleware, typed by what it is called with. */
export type ExpressMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Captures what an Express 4 or 5 application refuses. Install it before everything else:
 *
 * ```ts
 * app.use(securityCapture(security));
 * ```
 *
 * It sees the errors that later middleware throws or passes on, also those that the application's own error handlers
 * answer, and it asks the application's router whether a refused path belongs to other methods: where the status is 404,
 * 405 or 501, or where middleware behind the routes of that path refused that takes every path. It adds one error
 * handler at the end of the application, which passes every error on. It also watches the server for what Node refuses
 * by itself: from the first connection where the application is the server's listener, else from the first request, or
 * from the start with `watchServer` of `seclog/http`.
 *
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector.
 */
export function securityCapture(log: CaptureLog, options: CaptureOptions = {}): ExpressMiddleware {
  const capture = new Capture(log, options);
  let prepared: ExpressApp | undefined;
  let layers = -1;
  onNewServer(findApplications);
  captures.set(middleware, capture);
  return middleware;

  function middleware(request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void): void {
    let observation: Observation | undefined;
    try {
      const app = (request as ExpressRequest).app;
      if (app !== undefined && (app !== prepared || stackOf(app).length !== layers)) {
        prepare(app);
        watchServerOf(capture, request, app);
        prepared = app;
        layers = stackOf(app).length;
      }
      observation = observe(capture, request, response, request);
      observation.request = request;
      observation.routes = app === undefined ? undefined : routesOf(app);
    } catch {
      // An application that is not what Express makes, or a request without a socket: go on without it.
    }
    if (!capture.context) next();
    else if (observation === undefined) runWithRequest(request, () => next());
    else observation.enter(() => next());
  }
}

/** The captures by their middleware. */
const captures = new WeakMap<object, Capture>();

/** Finds the applications that answer a new server, and watches it for the captures that they use. */
function findApplications(server: NewServer): void {
  for (const listener of server.listeners("request")) {
    if (typeof listener !== "function") continue;
    const app = listener as unknown as ExpressApp;
    const stack = stackOf(app);
    for (const { handle } of stack) {
      const capture = typeof handle === "function" ? captures.get(handle) : undefined;
      if (capture !== undefined) watch(capture, server, watchOptions(app));
    }
  }
}

function watchOptions(app: ExpressApp): WatchOptions {
  // Express's own request inherits from Node's; only the application is needed to know its proxies.
  return { routes: routesOf(app), dress: (request) => Object.create(request, { app: { value: app } }) as object };
}

const knownRoutes = new WeakMap<ExpressApp, RouteKnowledge>();

function routesOf(app: ExpressApp): RouteKnowledge {
  let routes = knownRoutes.get(app);
  if (routes === undefined) {
    routes = {
      otherMethods: ({ request, layer }, status) =>
        otherMethods(rootApp(app), request, status, layer as ExpressLayer | undefined),
    };
    knownRoutes.set(app, routes);
  }
  return routes;
}

function watchServerOf(capture: Capture, request: IncomingMessage, app: ExpressApp): void {
  const { server } = request.socket as { readonly server?: WatchedServer };
  if (typeof server?.emit === "function") watch(capture, server, watchOptions(app));
}

/** Sees to it that every error of the application is seen, and which layer answers. Called again whenever the application has grown. */
function prepare(app: ExpressApp): void {
  const first = stackOf(app)[0];
  if (first !== undefined) observeLayersOf(Object.getPrototypeOf(first) as LayerPrototype);
  const root = rootApp(app);
  // An unhandled error passes no layer after the one that raised it, so this layer is added for it to pass.
  if (stackOf(root).at(-1)?.handle !== passErrorOn) root.use(passErrorOn);
}

function passErrorOn(error: unknown, request: object, _response: object, next: (error: unknown) => void): void {
  observationOf(request)?.sawError(error);
  next(error);
}

/** The prototype of all layers of one copy of Express: with an underscore in Express 4, in camel case in Express 5. */
type LayerPrototype = ExpressLayer & { [method in ErrorMethodName]?: ErrorMethod } & {
  [method in RequestMethodName]?: RequestMethod;
};
type ErrorMethodName = "handle_error" | "handleError";
type ErrorMethod = (error: unknown, request: object, ...rest: unknown[]) => unknown;
type RequestMethodName = "handle_request" | "handleRequest";
type RequestMethod = (request: object, ...rest: unknown[]) => unknown;

const observed = new WeakSet<object>();

/**
 * Every layer that a request or an error passes is asked by these methods, those of nested routers, routes and mounted
 * applications too, so this is the one place where an error can be seen before the application's own handler
 * answers it, and where the layer is known that answers. Requests that no capture opened pass untouched.
 */
function observeLayersOf(layer: LayerPrototype): void {
  if (observed.has(layer)) return;
  observed.add(layer);
  for (const name of ["handle_error", "handleError"] as const) {
    const original = layer[name];
    if (typeof original !== "function") continue;
    layer[name] = function (this: unknown, error, request, ...rest) {
      const observation = observationOf(request);
      observation?.reached(this as object);
      observation?.sawError(error);
      return Reflect.apply(original, this, [error, request, ...rest]);
    };
  }
  for (const name of ["handle_request", "handleRequest"] as const) {
    const original = layer[name];
    if (typeof original !== "function") continue;
    layer[name] = function (this: unknown, request, ...rest) {
      observationOf(request)?.reached(this as object);
      return Reflect.apply(original, this, [request, ...rest]);
    };
  }
}
