/** The methods of a path in Hono, asked of the application's own router. */
import { allowedOf } from "../allowed.ts";
import type { RouteKnowledge } from "../routes.ts";

/** The part of a Hono context that capture uses. */
export interface HonoContext {
  readonly req: {
    readonly raw: Request;
    readonly method: string;
    readonly path: string;
    header(name: string): string | undefined;
  };
  readonly env: unknown;
  readonly res: Response;
  readonly error: Error | undefined;
}

/** The part of a Hono application that capture uses. */
export interface HonoApp {
  readonly router: {
    match(
      method: string,
      path: string,
    ): readonly [readonly (readonly [readonly [unknown, HonoRoute], unknown])[], ...unknown[]];
  };
}

interface HonoRoute {
  readonly method: string;
  readonly path: string;
}

/** Those that an application has; others (`QUERY`, `PROPFIND`) are rare enough to be missed. */
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

export function honoRoutes({ router }: HonoApp): RouteKnowledge {
  return {
    otherMethods({ request }) {
      const { method, path } = requestOf(request);
      if (path === undefined) return undefined;
      const found = new Map<string, string>();
      for (const name of METHODS) {
        for (const [[, route]] of router.match(name, path)[0]) {
          // Middleware, and routes for all methods, are registered for `ALL`.
          if (route.method !== name || /^\/?\*$/.test(route.path)) continue;
          if (!found.has(name)) found.set(name, route.path);
        }
      }
      return allowedOf(found, method ?? "");
    },
  };
}

/** Of a context, or of a request that Node refused. */
function requestOf(request: object): { readonly method?: string | undefined; readonly path?: string | undefined } {
  const { req } = request as Partial<HonoContext>;
  if (req !== undefined) return req;
  const { method, url } = request as { readonly method?: string; readonly url?: string };
  return { method, path: url?.split("?", 1)[0] };
}
