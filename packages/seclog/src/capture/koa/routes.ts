/** The methods of a path in `@koa/router`: after routing, a context lists every layer whose path matched. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { allowedOf } from "../allowed.ts";
import { catchesAll } from "../catch-all.ts";
import type { RouteKnowledge } from "../routes.ts";

/** The part of a Koa context that capture uses. */
export interface KoaContext {
  readonly app: object;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

interface Layer {
  readonly methods: readonly string[];
  readonly path: unknown;
  match(path: string): boolean;
}

/** A route of `router.all()` lists each of Node's methods; no application lists so many. */
const ALL_METHODS = 20;

export const koaRoutes: RouteKnowledge = {
  otherMethods({ request }) {
    const { matched, req } = request as KoaContext & { readonly matched?: readonly Layer[] };
    if (!Array.isArray(matched)) return undefined;
    const found = new Map<string, string | undefined>();
    for (const layer of matched as readonly Layer[]) {
      if (layer.methods.length > ALL_METHODS || catchesAll((path) => layer.match(path))) continue;
      for (const method of layer.methods) {
        if (!found.has(method)) found.set(method, typeof layer.path === "string" ? layer.path : undefined);
      }
    }
    return allowedOf(found, req.method ?? "");
  },
};
