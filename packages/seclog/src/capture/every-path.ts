/**
 * Paths of no application. One alone would be taken by `/:owner/:repo/:branch`, too, which takes no path of another
 * length and is a route like any other.
 */
const STRANGE_PATHS = ["/no/such.path/in-any~application", "/no/such.path/in-any~application/nor/below/it"];

/** Whether a route or middleware takes every path (`/*`): the page of a client-side application makes no path known. */
export function takesEveryPath(matches: (path: string) => boolean): boolean {
  return STRANGE_PATHS.every(matches);
}
