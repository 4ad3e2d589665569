/** The forms in which data keep what JSON has none for. */

/** What is kept for a value that throws when it is looked at. */
export const UNSERIALIZABLE = "[Unserializable]";

/** Longer integers are written in base 16, which takes linear time; base 10 does not. */
const LONGEST_DECIMAL: bigint = 10n ** 100n;

/** The first items of what may be endless. */
export function firstOf<Item>(items: Iterable<Item>, most: number): Item[] {
  const first: Item[] = [];
  for (const item of items) {
    if (first.length === most) break;
    first.push(item);
  }
  return first;
}

/** Whether it is a request, a socket, a stream: what hangs on it is the program. */
export function isEmitter(value: object): boolean {
  const { on, emit } = value as { readonly on?: unknown; readonly emit?: unknown };
  return typeof on === "function" && typeof emit === "function";
}

export function className(value: object): string {
  const name: unknown = (value.constructor as { readonly name?: unknown } | undefined)?.name;
  return typeof name === "string" && name !== "" ? name.slice(0, 100) : "Object";
}

export function functionText(value: unknown): string {
  try {
    const name: unknown = (value as { readonly name?: unknown }).name;
    return typeof name === "string" && name !== "" ? `[Function: ${name.slice(0, 100)}]` : "[Function]";
  } catch {
    return "[Function]";
  }
}

/** An integer in base 10, or in base 16 where that would take long. */
export function bigintText(value: bigint): string {
  if (value < LONGEST_DECIMAL && value > -LONGEST_DECIMAL) return value.toString();
  return value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/**
 * Name, message, code and causes. No stack, which names the machine's files, and no other members: an HTTP client's errors carry
 * whole requests.
 */
export function errorMembers(value: object): { [key: string]: unknown } {
  const error: { [key: string]: unknown } = {};
  for (const key of ["name", "message", "code", "cause", "errors"]) {
    try {
      const member: unknown = (value as { readonly [key: string]: unknown })[key];
      if (member !== undefined) error[key] = member;
    } catch {
      error[key] = UNSERIALIZABLE;
    }
  }
  return error;
}

/** Pairs by key: headers and forms may have a name twice, whose values then become a list. */
export function mergedPairs(pairs: readonly [string, unknown][]): Map<string, unknown> {
  const members = new Map<string, unknown>();
  for (const [key, value] of pairs) members.set(key, members.has(key) ? [members.get(key), value].flat() : value);
  return members;
}

/** The names that members of an object spell: of `{ path: "password", value: "hunter2" }` it is `password`. */
export function* namesIn(value: object): Generator<string> {
  for (const key of ["name", "key", "field", "path", "param", "parameter", "property"]) {
    let name: unknown;
    try {
      name = (value as { readonly [key: string]: unknown })[key];
    } catch {
      // The member itself will say so.
    }
    if (typeof name === "string") yield name;
  }
}
