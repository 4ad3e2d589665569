/**
 * Probe paths that no application serves. Two lengths, since `/:owner/:repo/:branch` alone, a route like any other,
 * matches any path of three segments.
 */
const PROBE_PATHS = ["/no/such.path/in-any~application", "/no/such.path/in-any~application/nor/below/it"];

/**
 * Whether a route or middleware takes every path (`/*`): a client-side application's page does not make paths known.
 */
export function catchesAll(matches: (path: string) => boolean): boolean {
  return PROBE_PATHS.every(matches);
}
