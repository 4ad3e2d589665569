/**
 * The routes of a Next.js application, as Next leaves them on Node's request: which route it chose, and the file of its
 * module, which is loaded and knows the methods. Next answers 405 without `Allow`.
 */
import type { IncomingMessage } from "node:http";
// The default import: many esbuild bundles begin with a banner that declares `createRequire`.
import nodeModule from "node:module";
import { isAbsolute } from "node:path";
import { allowedOf } from "../allowed.ts";
import type { RouteKnowledge } from "../routes.ts";

/** Where Next keeps what it knows of a request; a global symbol, since its bundles share it. */
const META: unique symbol = Symbol.for("NextInternalRequestMeta") as never;

interface Definition {
  readonly kind?: unknown;
  readonly pathname?: unknown;
  readonly filename?: unknown;
}

interface MarkedRequest {
  readonly [META]?: { readonly match?: { readonly definition?: Definition } };
}

/** A module of a route handler. */
interface RouteModule {
  readonly routeModule?: { readonly userland?: object };
}

/** Those that a route handler may export. Next has no route for any other, and fails where a client sends one. */
export const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"]);

/** What Next renders where no route takes the request, or where one failed. */
const OWN_PAGES: ReadonlySet<unknown> = new Set(["/_not-found", "/_error", "/404", "/500"]);

/** A request that Next serves: Node's, with the template of its route once Next has chosen one. */
export class NextServed {
  readonly req: IncomingMessage;
  #route: string | undefined;

  constructor(req: IncomingMessage) {
    this.req = req;
  }

  /** As Express has it, for the log. A page for an error does not replace the route that caused it. */
  get route(): { readonly path: string } | undefined {
    this.#route = definitionOf(this.req)?.pathname ?? this.#route;
    return this.#route === undefined ? undefined : { path: this.#route };
  }

  /** Next names the route of an error, also where rendering its page has replaced the request's. */
  named(route: unknown): void {
    if (typeof route === "string" && !OWN_PAGES.has(route)) this.#route = route;
  }
}

export const nextRoutes: RouteKnowledge = {
  otherMethods({ request }) {
    if (!(request instanceof NextServed)) return undefined;
    const { req } = request;
    const definition = definitionOf(req);
    if (definition === undefined) return undefined;
    const methods = definition.kind === "APP_ROUTE" ? methodsIn(definition.filename) : [];
    return allowedOf(new Map(methods.map((name) => [name, definition.pathname])), req.method ?? "");
  },
};

/** The route that Next chose; `undefined` before that, and for its own pages. */
function definitionOf(request: IncomingMessage): (Definition & { readonly pathname: string }) | undefined {
  const definition = (request as MarkedRequest)[META]?.match?.definition;
  return typeof definition?.pathname === "string" && !OWN_PAGES.has(definition.pathname)
    ? (definition as Definition & { readonly pathname: string })
    : undefined;
}

/** The methods that a route's module exports. It was loaded to refuse the request, so nothing is loaded here. */
function methodsIn(filename: unknown): readonly string[] {
  // In development it is the name of a source.
  if (typeof filename !== "string" || !isAbsolute(filename)) return [];
  const loaded = nodeModule.createRequire(filename).cache[filename]?.exports as RouteModule | undefined;
  const exported = loaded?.routeModule?.userland ?? {};
  return [...METHODS].filter((name) => name in exported);
}
