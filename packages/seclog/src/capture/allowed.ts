import type { OtherMethods } from "./routes.ts";

/**
 * What the routes at a request's path allow, when its method is not among them.
 *
 * @param found the methods in the order of registration, each with its route's template
 */
export function allowedOf(found: ReadonlyMap<string, string | undefined>, method: string): OtherMethods | undefined {
  // An `OPTIONS` route alone is a CORS preflight for everything.
  if (found.size === 0 || (found.size === 1 && found.has("OPTIONS"))) return undefined;
  if (method === "OPTIONS" || found.has(method) || (method === "HEAD" && found.has("GET"))) return undefined;
  const allowed: string[] = [];
  for (const name of found.keys()) {
    allowed.push(name);
    if (name === "GET" && !found.has("HEAD")) allowed.push("HEAD");
  }
  return { allowed, route: found.values().next().value };
}
