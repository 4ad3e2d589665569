/**
 * Which methods an Express application has for a path, asked of its own router: what its layers match is what
 * Express would have matched, with its parameters, patterns and options.
 */
import { allowedOf } from "../allowed.ts";
import { catchesAll } from "../catch-all.ts";
import type { OtherMethods } from "../routes.ts";

/** The part of an Express 4 or 5 application that is read. */
export interface ExpressApp {
  readonly parent?: ExpressApp | undefined;
  /** Express 5. In Express 4 reading it throws. */
  readonly router?: ExpressRouter | undefined;
  /** Express 4. */
  readonly _router?: ExpressRouter | undefined;
  use(handler: (error: unknown, request: object, response: object, next: (error: unknown) => void) => void): unknown;
}

export interface ExpressRouter {
  readonly stack: readonly ExpressLayer[];
}

/** One entry of a router: a route, a nested router, a mounted application or middleware. */
export interface ExpressLayer {
  readonly name?: string;
  readonly handle: ((...values: unknown[]) => unknown) & { readonly stack?: readonly ExpressLayer[] };
  readonly route?: ExpressRoute | undefined;
  /** What `match` found, where it answers `true` (Express 4, router before 2.3). */
  readonly path?: string | undefined;
  readonly keys?: readonly unknown[];
  /** The path as it was written (router 2.3). */
  readonly rawPath?: unknown;
  match(path: string): boolean | { readonly path: string };
}

interface ExpressRoute {
  readonly path: unknown;
  readonly methods: { readonly [method: string]: boolean | undefined };
}

/** The part of an Express request that is read. */
export interface ExpressRequest {
  readonly app?: ExpressApp;
  readonly method?: string;
  readonly url?: string;
  readonly originalUrl?: string;
  readonly baseUrl?: string;
}

/** The application that the request came in by: where errors end that no mounted application handled. */
export function rootApp(app: ExpressApp): ExpressApp {
  let root = app;
  while (root.parent !== undefined) root = root.parent;
  return root;
}

/** The application's layers; none before its first route or middleware. */
export function stackOf(app: ExpressApp): readonly ExpressLayer[] {
  return (app._router ?? app.router)?.stack ?? [];
}

/**
 * The methods of the routes at the request's path, or `undefined` when there are none, or when its method is among
 * them. A route for `all` methods counts for nothing: where it does not answer itself it is a guard before the others,
 * and where it answers "not found" it stands for no resource.
 *
 * 404, 405 and 501 say themselves that nothing took the request. Another refusal says so only when it comes from the
 * application's fallback: middleware that takes every path and stands behind the routes of this one. Everything else is
 * an answer to the method: middleware mounted at a path (a proxy, GraphQL), middleware in front of the routes, a route
 * for all methods. And whatever succeeded was served: middleware for everything may be a proxy as well as the page of a
 * client-side application, and an alarm for each of a proxy's answers would be worse than one probe less.
 *
 * @param last the layer that answered; unknown for a request that no layer saw.
 */
export function otherMethods(
  app: ExpressApp,
  request: ExpressRequest,
  statusCode: number,
  last: ExpressLayer | undefined,
): OtherMethods | undefined {
  if (statusCode < 400) return undefined;
  const fallback = statusCode === 404 || statusCode === 405 || statusCode === 501 ? undefined : last;
  if (fallback !== undefined && !isCatchAll(fallback)) return undefined;
  const path = pathOf(request);
  if (path === undefined) return undefined;
  const found = new Map<string, string | undefined>();
  if (!collect(stackOf(app), path, "", found, fallback, 0) && fallback !== undefined) return undefined;
  return allowedOf(found, request.method ?? "");
}

/** The path that was routed: middleware may have rewritten `url`, and a nested router has the rest in `baseUrl`. */
function pathOf({ url = "", originalUrl = url, baseUrl = "" }: ExpressRequest): string | undefined {
  const original = pathname(originalUrl);
  const routed = pathname(`${baseUrl}${url}`);
  // A router mounted at `/api` sees `/api` as `/`: the slash is the router's, not the client's.
  return original !== undefined && routed === `${original}/` ? original : routed;
}

function pathname(url: string): string | undefined {
  const path = url.split("?", 1)[0] ?? "";
  if (path.startsWith("/")) return path;
  // The absolute form, `GET http://shop.example/cart HTTP/1.1`.
  return URL.canParse(path) ? new URL(path).pathname : undefined;
}

/** Deeper than any application nests its routers; a router that holds itself ends here. */
const MAXIMUM_DEPTH = 20;

/** Collects the routes up to the fallback, or all. Gives whether the fallback was met. */
function collect(
  stack: readonly ExpressLayer[],
  path: string,
  prefix: string | undefined,
  found: Map<string, string | undefined>,
  fallback: ExpressLayer | undefined,
  depth: number,
): boolean {
  if (depth > MAXIMUM_DEPTH) return false;
  for (const layer of stack) {
    const route = layer.route;
    const nested = route === undefined ? nestedStack(layer) : undefined;
    if (route === undefined && nested === undefined) {
      if (layer === fallback) return true;
      continue;
    }
    const matched = match(layer, path);
    if (matched === undefined) continue;
    if (route !== undefined) {
      if (takesAll(route) || isCatchAll(layer)) continue;
      const template = prefix !== undefined && typeof route.path === "string" ? `${prefix}${route.path}` : undefined;
      for (const method of Object.keys(route.methods)) {
        const name = method.toUpperCase();
        if (!found.has(name)) found.set(name, template);
      }
    } else if (nested !== undefined) {
      const rest = path.slice(matched.length);
      if (rest !== "" && !rest.startsWith("/") && !matched.endsWith("/")) continue;
      const mount = mountTemplate(layer, matched);
      const below = prefix === undefined || mount === undefined ? undefined : `${prefix}${mount}`;
      const inner: typeof found = new Map();
      const ended = collect(nested, rest.startsWith("/") ? rest : `/${rest}`, below, inner, fallback, depth + 1);
      // The fallback of a router that is mounted at a path is middleware at that path for the routes outside.
      if (ended && matched !== "" && matched !== "/") found.clear();
      for (const [name, template] of inner) if (!found.has(name)) found.set(name, template);
      if (ended) return true;
    }
  }
  return false;
}

/** `router.all` is a mark on the route, `app.all` registers each of Node's 30 and more methods; no application lists so many. */
function takesAll({ methods }: ExpressRoute): boolean {
  return methods["_all"] === true || Object.keys(methods).length > 20;
}

/** What the layer matches of the path; a path that cannot be decoded matches nothing. */
function match(layer: ExpressLayer, path: string): string | undefined {
  try {
    const result = layer.match(path);
    if (result === false) return undefined;
    return (typeof result === "object" ? result.path : layer.path) ?? "";
  } catch {
    return undefined;
  }
}

const catchAlls = new WeakMap<object, boolean>();

/** Whether a layer takes every path: `*`, `/{*rest}`, `/.*\/`. */
function isCatchAll(layer: ExpressLayer): boolean {
  let answer = catchAlls.get(layer);
  if (answer === undefined) {
    answer = catchesAll((path) => match(layer, path) !== undefined);
    catchAlls.set(layer, answer);
  }
  return answer;
}

/** The path at which a router is mounted, without the trailing slash; unknown when only its pattern could tell. */
function mountTemplate(layer: ExpressLayer, matched: string): string | undefined {
  const path = typeof layer.rawPath === "string" ? layer.rawPath : layer.keys?.length ? undefined : matched;
  return path?.replace(/\/+$/, "");
}

function nestedStack(layer: ExpressLayer): readonly ExpressLayer[] | undefined {
  const stack = layer.handle.stack;
  if (Array.isArray(stack)) return stack as readonly ExpressLayer[];
  if (layer.handle.name !== "mounted_app" || layer.handle.length !== 3) return undefined;
  let app = mountedApps.get(layer.handle);
  if (app === undefined) {
    app = mountedApp(layer.handle) ?? null;
    mountedApps.set(layer.handle, app);
  }
  return app === null ? undefined : stackOf(app);
}

/** `null` for one that could not be found out. */
const mountedApps = new WeakMap<object, ExpressApp | null>();

/**
 * The application inside a `mounted_app` layer, which only a closure holds. Before it routes a request, Express makes
 * it inherit from the application's `request` object: this hands it a request that learns the application by that
 * and stops there, so that no middleware ever sees it.
 */
function mountedApp(handle: ExpressLayer["handle"]): ExpressApp | undefined {
  let found: ExpressApp | undefined;
  let url: string | undefined = "/";
  const request = new Proxy({ method: "GET", query: {} } as { url?: string | undefined }, {
    get: (target, name) => (name === "url" ? url : Reflect.get(target, name)),
    setPrototypeOf(_, prototype) {
      found ??= (prototype as ExpressRequest | null)?.app;
      // Express 4 catches the error and would call its error handlers; it stops at a request without a URL.
      url = undefined;
      throw new Error("the application is known");
    },
  });
  const response = { setHeader() {}, locals: {} };
  try {
    handle(request, response, () => {});
  } catch {
    // As intended.
  }
  return found;
}
