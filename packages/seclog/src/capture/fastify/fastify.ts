import type { IncomingMessage, ServerResponse } from "node:http";
import { runWithRequest } from "../../record/context.ts";
import { Capture, type CaptureLog, type CaptureOptions, ownOptions } from "../capture.ts";
import { type Observation, observationOf, observe } from "../observe.ts";
import { type WatchedServer, type WatchOptions, watch } from "../server.ts";
import type { FastifyRoute } from "./routes.ts";
import { type FastifyRouting, FastifyScope, symbolOf } from "./scope.ts";

export type { CaptureLog, CaptureOptions } from "../capture.ts";
export type { Detector } from "../detectors.ts";
export { type AccessFacts, checkAccess, type LoginFacts, noteError, recordLogin } from "../outcomes.ts";

/** The options of the plugin. */
export interface FastifyCaptureOptions extends CaptureOptions<FastifyRequest> {
  /** The log that receives the events. */
  readonly log: CaptureLog;
}

/** The part of a Fastify 5 instance that capture uses. */
interface FastifyApp extends FastifyRouting {
  readonly server: WatchedServer;
  addHook(name: "onRoute", hook: (route: FastifyRoute) => void): unknown;
  addHook(name: "onListen", hook: (done: () => void) => void): unknown;
  addHook(name: "onRequest", hook: (request: FastifyRequest, reply: FastifyReply, done: () => void) => void): unknown;
  addHook(
    name: "onError",
    hook: (request: FastifyRequest, reply: FastifyReply, error: unknown, done: () => void) => void,
  ): unknown;
}

/** The part of a Fastify request that capture uses. */
export interface FastifyRequest {
  readonly raw: IncomingMessage;
  readonly is404: boolean;
}

interface FastifyReply {
  readonly raw: ServerResponse;
}

/**
 * Captures what a Fastify 5 application refuses. Register it before everything else, so that its hooks come first.
 *
 * ```ts
 * await app.register(securityCapture, { log: security });
 * ```
 *
 * Registered in the application it covers all of it. Registered in a scope it covers the routes of that scope and
 * below, wrong methods on their paths, and what the router and Node's parser refuse below the scope's prefix. In a
 * scope without a prefix, register it before the routes. Where a request passes several, the innermost one records.
 */
export const securityCapture: (app: object, options: FastifyCaptureOptions, done: (error?: Error) => void) => void =
  Object.assign(install, {
    // As fastify-plugin does: the hooks belong to the instance that registers, not to a scope of their own below it.
    [Symbol.for("skip-override")]: true,
    [Symbol.for("fastify.display-name")]: "seclog",
  });

function install(instance: object, options: FastifyCaptureOptions, done: (error?: Error) => void): void {
  const app = instance as FastifyApp;
  let capture: Capture;
  try {
    // `prefix` and the log options are register's own, for every plugin.
    capture = new Capture(options.log, ownOptions(options));
  } catch (error) {
    done(error as Error);
    return;
  }
  const scope = new FastifyScope(app);
  const watching: WatchOptions = {
    routes: scope.routes,
    covers: scope.covers,
    dress: (request) => scope.dress(request),
    onRequest: (request, response) =>
      observeUnhooked(capture, scope, request as IncomingMessage, response as ServerResponse),
  };
  app.addHook("onRoute", (route) => scope.add(route));
  app.addHook("onRequest", (request, reply, next) => {
    let observation: Observation | undefined;
    try {
      observation = observe(capture, request.raw, reply.raw, request);
      observation.claim(capture, request, scope.routes);
      observation.unrouted = request.is404;
      const { server } = request.raw.socket as { readonly server?: WatchedServer };
      if (typeof server?.emit === "function" && server !== app.server) watch(capture, server, watching);
    } catch {
      // A request or response that is not Node's own: continue without it.
    }
    if (!capture.context) next();
    else if (observation === undefined) runWithRequest(request, next);
    else observation.enter(next);
  });
  if (!scope.whole) {
    // A path that no route takes runs the application's hooks, although it may be one of this scope's.
    (scope.root as FastifyApp).addHook("onRequest", (request, reply, next) => {
      if (request.is404) observeUnhooked(capture, scope, request, reply.raw);
      next();
    });
  }
  app.addHook("onError", (request, _reply, error, next) => {
    observationOf(request.raw)?.sawError(error);
    next();
  });
  watch(capture, app.server, watching);
  app.addHook("onListen", (next) => {
    for (const server of otherServers(app)) watch(capture, server, watching);
    next();
  });
  done();
}

/**
 * The servers that Fastify opens beside its own when it listens on `localhost`, one for each further address of that
 * name. It does not expose them; those that another version keeps elsewhere are found with their first request.
 */
function otherServers(app: FastifyApp): readonly WatchedServer[] {
  const key = symbolOf(app, "fastify.serverBindings");
  const servers: unknown = key === undefined ? undefined : Reflect.get(app, key);
  return Array.isArray(servers) ? (servers as WatchedServer[]) : [];
}

/**
 * Observes a request that apparently no hook of the scope will see: what the router refuses runs no hook at all, and
 * what no route takes runs the application's.
 *
 * @param request Node's as it arrives at the server, or Fastify's
 */
function observeUnhooked(
  capture: Capture,
  scope: FastifyScope,
  request: IncomingMessage | FastifyRequest,
  response: ServerResponse,
): void {
  try {
    const raw = "raw" in request ? request.raw : request;
    if (!scope.covers(raw.url)) return;
    const observation = observe(capture, raw, response, request);
    // Another capture, nearer to the code that answers, may have it.
    const taken = observation.routes !== undefined && observation.routes.refuses === undefined;
    if (taken) return;
    observation.claim(capture, request, scope.unhooked);
    observation.unrouted = raw !== request;
  } catch {
    // Not what Node emits.
  }
}
