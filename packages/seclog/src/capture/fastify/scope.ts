/**
 * The part of a Fastify application that a capture is registered in: all of it, or a scope. Hooks keep to their scope
 * by themselves. What runs no hooks does not: refusals of the router, paths that no route takes, refusals of Node's
 * parser.
 */
import type { IncomingMessage } from "node:http";
import type { OtherMethods, RouteKnowledge } from "../routes.ts";
import { type FastifyRoute, type FastifyRouterOptions, FastifyRoutes } from "./routes.ts";

/** The part of a Fastify 5 instance that reveals routes. */
export interface FastifyRouting {
  readonly initialConfig: FastifyRouterOptions & {
    readonly routerOptions?: FastifyRouterOptions & { readonly maxParamLength?: number };
    readonly maxParamLength?: number;
  };
  readonly prefix: string;
  printRoutes(): string;
}

/** Fastify's default for its router's `maxParamLength`. */
const LONGEST_PARAMETER = 100;

export class FastifyScope {
  /** The outermost instance, which is consulted about paths that no route takes. */
  readonly root: FastifyRouting;
  readonly #app: FastifyRouting;
  readonly #known: FastifyRoutes;
  /** Of the class of its requests; `null` if it cannot be found. */
  #prototype: object | null | undefined;

  /** For requests that a hook of the scope has seen. */
  readonly routes: RouteKnowledge = { otherMethods: ({ request }) => this.#otherMethods(request) };

  /** For requests that no hook has seen. */
  readonly unhooked: RouteKnowledge = {
    ...this.routes,
    dress: (request) => this.dress(request),
    refuses: (request, statusCode) => this.#routerRefuses(rawOf(request).url ?? "", statusCode),
  };

  constructor(app: FastifyRouting) {
    this.#app = app;
    this.root = rootOf(app);
    this.#known = new FastifyRoutes(routerOptions(app));
    try {
      this.#known.addPrinted(app.printRoutes(), (url) => this.#below(url));
    } catch {
      // Printed in another form: those routes stay unknown.
    }
  }

  /** Whether it is the application itself. */
  get whole(): boolean {
    return this.root === this.#app;
  }

  /**
   * Fastify's request for one that Fastify does not see, such as an upgrade: of its own class, whose getters know which
   * proxies to trust.
   */
  dress(raw: IncomingMessage): object {
    if (this.#prototype === undefined) {
      const key = symbolOf(this.#app, "fastify.Request");
      const made = key === undefined ? undefined : (Reflect.get(this.#app, key) as { readonly prototype?: object });
      this.#prototype = made?.prototype ?? null;
    }
    if (this.#prototype === null) return raw;
    // Its other getters expect a route.
    return Object.create(this.#prototype, {
      raw: { value: raw },
      server: { value: this.root },
      routeOptions: { value: undefined },
    }) as object;
  }

  add(route: FastifyRoute): void {
    this.#known.add(route);
  }

  /** Whether a request that no hook sees belongs to this capture. */
  readonly covers = (url: string | undefined): boolean => {
    if (this.whole) return true;
    return url !== undefined && (this.#below(url) || this.#known.has(url));
  };

  /** Whether a path is below the scope's prefix. A scope without one has only the routes that it sees registered. */
  #below(url: string): boolean {
    if (this.whole) return true;
    const { prefix } = this.#app;
    const rest = url.startsWith(prefix) ? url.slice(prefix.length) : undefined;
    return prefix !== "" && prefix !== "/" && rest !== undefined && /^(?:$|[/?#])/.test(rest);
  }

  #otherMethods(request: object): OtherMethods | undefined {
    const raw = rawOf(request);
    return this.#known.otherMethods(raw.method ?? "", raw.url ?? "", hostOf(raw));
  }

  /** The router itself responds to a path that cannot be decoded or has too long a parameter, without any hook. */
  #routerRefuses(url: string, statusCode: number): boolean {
    const path = url.split(/[?#]/, 1)[0] ?? "";
    if (!isDecodable(path)) return true;
    const { initialConfig } = this.#app;
    const longest = initialConfig.routerOptions?.maxParamLength ?? initialConfig.maxParamLength ?? LONGEST_PARAMETER;
    if (!path.split("/").some((part) => part.length > longest)) return false;
    // The application's own `frameworkErrors` may respond with another status, but only where a route has the path.
    return statusCode === 414 || this.#known.has(url);
  }
}

/** A symbol of Fastify's by its description, wherever in the scopes around it stands. */
export function symbolOf(app: object, description: string): symbol | undefined {
  let holder: object | null = app;
  for (; holder !== null; holder = Object.getPrototypeOf(holder) as object | null) {
    const key = Object.getOwnPropertySymbols(holder).find((symbol) => symbol.description === description);
    if (key !== undefined) return key;
  }
  return undefined;
}

/** Uses the text: a bundler drops a call whose result is unused, and with it what the call throws. */
function isDecodable(path: string): boolean {
  try {
    return decodeURIComponent(path).length >= 0;
  } catch {
    return false;
  }
}

/** A scope inherits from the instance around it. */
function rootOf(app: FastifyRouting): FastifyRouting {
  const around = Object.getPrototypeOf(app) as object;
  return "printRoutes" in around ? rootOf(around as FastifyRouting) : app;
}

function rawOf(request: object): Partial<IncomingMessage> {
  return (request as { readonly raw?: IncomingMessage }).raw ?? request;
}

function hostOf({ headers = {} }: Partial<IncomingMessage>): string | undefined {
  return headers.host ?? (headers[":authority"] as string | undefined);
}

function routerOptions({ initialConfig }: FastifyRouting): FastifyRouterOptions {
  // Fastify 5 has them in two places.
  const inner = initialConfig.routerOptions ?? {};
  return {
    caseSensitive: initialConfig.caseSensitive !== false && inner.caseSensitive !== false,
    ignoreTrailingSlash: initialConfig.ignoreTrailingSlash === true || inner.ignoreTrailingSlash === true,
    ignoreDuplicateSlashes: initialConfig.ignoreDuplicateSlashes === true || inner.ignoreDuplicateSlashes === true,
    useSemicolonDelimiter: initialConfig.useSemicolonDelimiter === true || inner.useSemicolonDelimiter === true,
  };
}
