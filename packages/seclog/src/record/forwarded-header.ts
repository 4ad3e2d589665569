/** Reads the headers in which proxies pass on addresses from the right end, which the last proxy wrote. */

/** How many characters at a header's end to read. */
const LONGEST_HEADER = 65_536;

/** A chain of more proxies than this is an attack. */
export const MOST_HOPS = 1000;

/** The hops of X-Forwarded-For, last first. */
export function* forwardedHops(header: string): Generator<string> {
  const value = header.slice(-LONGEST_HEADER);
  for (let end = value.length; end >= 0; ) {
    const comma = end === 0 ? -1 : value.lastIndexOf(",", end - 1);
    yield value.slice(comma + 1, end).trim();
    end = comma;
  }
}

/**
 * The `for` of each element of Forwarded (RFC 7239), last first. Quotes, too, are matched from the right: a client
 * that opens a quote and never closes it must not swallow what the proxy appended.
 */
export function* forwardedFor(header: string): Generator<string> {
  const value = header.slice(-LONGEST_HEADER);
  let end = value.length;
  let quoted = false;
  for (let at = value.length - 1; at >= -1; at--) {
    const char = at === -1 ? "," : value[at];
    if (char === '"') quoted = !quoted;
    if (at === -1 || (char === "," && !quoted)) {
      yield forOf(value.slice(at + 1, end));
      end = at;
    }
  }
}

/** The `for` of one element; empty if it has none, or if the element is not valid by RFC 7239. */
function forOf(element: string): string {
  const pair = /\s*([^=;,\s"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^=;,\s"]*))\s*(;|$)/gy;
  let found = "";
  for (;;) {
    const match = pair.exec(element);
    if (match === null) return "";
    if (match[1]?.toLowerCase() === "for") {
      if (found !== "") return "";
      found = match[2] ?? match[3] ?? "";
    }
    if (pair.lastIndex === element.length) return match[4] === ";" ? "" : found;
  }
}
