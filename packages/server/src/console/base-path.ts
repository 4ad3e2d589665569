/** Where a server has the console: `/`, or a path such as `/ops/seclog/`. */
/** Segments that neither a browser nor a proxy rewrites, and that need no escape in HTML. */
const BASE = /^\/(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*\/)*$/;

/** The path with a slash at both ends; `undefined` if no console can be there. */
export function basePathOf(text: string): string | undefined {
  const trimmed = text.replace(/^\/+|\/+$/g, "");
  const path = trimmed === "" ? "/" : `/${trimmed}/`;
  return BASE.test(path) ? path : undefined;
}

/**
 * The part of a request's path below the base, without a slash before it. A path that does not begin with the base is
 * below it already: a proxy, or the application's router, has removed it.
 */
export function below(base: string, path: string): string {
  if (path.startsWith(base)) return path.slice(base.length);
  return `${path}/` === base ? "" : path.replace(/^\//, "");
}
