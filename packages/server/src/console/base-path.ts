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
 * The part of a request's path below the base, without a slash before it. A proxy or a router may have removed the base,
 * or its first segments: what remains of it is removed here.
 */
export function below(base: string, path: string): string {
  for (let at = 0; at >= 0; at = base.indexOf("/", at + 1)) {
    const rest = base.slice(at);
    if (path.startsWith(rest)) return path.slice(rest.length);
    if (`${path}/` === rest) return "";
  }
  return path;
}
