import type { IncomingMessage, ServerResponse } from "node:http";
import { currentContext, runInContext, runWithRequest } from "../record/context.ts";
import { type FastifyRoute, type FastifyRouterOptions, FastifyRoutes } from "./fastify-routes.ts";
import {
  Capture,
  type CaptureLog,
  type CaptureOptions,
  type Observation,
  observationOf,
  observe,
  type RouteKnowledge,
} from "./observe.ts";
import { type WatchedServer, watch } from "./server.ts";

export type { CaptureLog, CaptureOptions } from "./observe.ts";
export { type AccessFacts, checkAccess, type LoginFacts, recordLogin } from "./outcomes.ts";
export type { Detector } from "./refusal.ts";

/** The options of the plugin. */
export interface FastifyCaptureOptions extends CaptureOptions {
  /** The log that is recorded to. */
  readonly log: CaptureLog;
}

/** The part of a Fastify 5 instance that is used. */
interface FastifyApp {
  readonly server: WatchedServer;
  readonly initialConfig: FastifyRouterOptions & { readonly routerOptions?: FastifyRouterOptions };
  printRoutes(): string;
  addHook(name: "onRoute", hook: (route: FastifyRoute) => void): unknown;
  addHook(
    name: "onRequest" | "preValidation",
    hook: (request: FastifyRequest, reply: FastifyReply, done: () => void) => void,
  ): unknown;
  addHook(
    name: "onError",
    hook: (request: FastifyRequest, reply: FastifyReply, error: unknown, done: () => void) => void,
  ): unknown;
}

interface FastifyRequest {
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
 * app.register(securityCapture, { log: security });
 * ```
 *
 * Its hooks belong to the instance that it is registered in and to everything below, not to a scope of its own. The
 * server is watched for what Node and Fastify's router refuse before there is a hook.
 */
export const securityCapture: (app: object, options: FastifyCaptureOptions, done: (error?: Error) => void) => void =
  Object.assign(install, {
    // What fastify-plugin sets: the hooks belong to the application, not to a scope of their own.
    [Symbol.for("skip-override")]: true,
    [Symbol.for("fastify.display-name")]: "seclog",
  });

function install(instance: object, options: FastifyCaptureOptions, done: (error?: Error) => void): void {
  const app = instance as FastifyApp;
  let capture: Capture;
  try {
    // `prefix` and the log options are register's own, for every plugin.
    const { log, detect, context } = options;
    capture = new Capture(log, { detect, context });
  } catch (error) {
    done(error as Error);
    return;
  }
  const known = new FastifyRoutes(routerOptions(app));
  const routes: RouteKnowledge = {
    otherMethods(request) {
      const { method = "", url = "", headers } = ((request as FastifyRequest).raw ?? request) as IncomingMessage;
      return known.otherMethods(method, url, headers.host ?? (headers[":authority"] as string | undefined));
    },
  };
  try {
    known.addPrinted(app.printRoutes());
  } catch {
    // Another form of printing: those routes stay unknown.
  }
  app.addHook("onRoute", (route) => known.add(route));
  app.addHook("onRequest", (request, reply, next) => {
    let observation: Observation | undefined;
    try {
      observation = observe(capture, request.raw, reply.raw, request);
      observation.request = request;
      observation.routes = routes;
      observation.unrouted = request.is404;
    } catch {
      // A request or response that is not Node's own: go on without it.
    }
    if (!capture.context) {
      next();
      return;
    }
    runWithRequest(request, () => {
      if (observation !== undefined) observation.context = currentContext();
      next();
    });
  });
  if (capture.context) {
    // A body is read in the events of the socket, which know nothing of the request.
    app.addHook("preValidation", (request, _reply, next) => {
      const context = observationOf(request.raw)?.context;
      if (context === undefined || context === currentContext()) next();
      else runInContext(context, next);
    });
  }
  app.addHook("onError", (request, _reply, error, next) => {
    observationOf(request.raw)?.sawError(error);
    next();
  });
  watch(capture, app.server, { routes, onRequest: (request, response) => observeUnhooked(capture, request, response) });
  done();
}

/** A path that cannot be decoded or has too long a parameter is answered by Fastify's router, without any hook. */
function observeUnhooked(capture: Capture, request: unknown, response: unknown): void {
  try {
    const raw = request as IncomingMessage;
    observe(capture, raw, response as ServerResponse, raw).routes = UNHOOKED;
  } catch {
    // Not what Node emits.
  }
}

const UNHOOKED: RouteKnowledge = { otherMethods: () => undefined, badRequest: true };

function routerOptions({ initialConfig }: FastifyApp): FastifyRouterOptions {
  // Fastify 5 takes them at two places.
  const inner = initialConfig.routerOptions ?? {};
  return {
    caseSensitive: initialConfig.caseSensitive !== false && inner.caseSensitive !== false,
    ignoreTrailingSlash: initialConfig.ignoreTrailingSlash === true || inner.ignoreTrailingSlash === true,
    ignoreDuplicateSlashes: initialConfig.ignoreDuplicateSlashes === true || inner.ignoreDuplicateSlashes === true,
    useSemicolonDelimiter: initialConfig.useSemicolonDelimiter === true || inner.useSemicolonDelimiter === true,
  };
}
