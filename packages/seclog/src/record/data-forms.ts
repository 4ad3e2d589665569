/** The forms in which data store values that JSON cannot hold. */

/** What is stored for a value that throws when it is read. */
export const UNSERIALIZABLE = "[Unserializable]";

/** Longer integers are written in base 16, which takes linear time; base 10 does not. */
const LONGEST_DECIMAL: bigint = 10n ** 100n;

/** The first items of an iterable that may be endless. */
export function firstOf<Item>(items: Iterable<Item>, most: number): Item[] {
  const first: Item[] = [];
  for (const item of items) {
    if (first.length === most) break;
    first.push(item);
  }
  return first;
}

/** Whether it is a request, a socket or a stream, through which the whole program is reachable. */
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
 * Name, message, code and causes. Without the stack, which names the machine's files, and other members: an HTTP
 * client's errors carry whole requests.
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

/** Pairs by key: if a name repeats, as in headers and forms, its values become a list. */
export function mergedPairs(pairs: readonly [string, unknown][]): Map<string, unknown> {
  const members = new Map<string, unknown>();
  for (const [key, value] of pairs) members.set(key, members.has(key) ? [members.get(key), value].flat() : value);
  return members;
}

/** The names that an object's members contain: `password` for `{ path: "password", value: "hunter2" }`. */
export function* namesIn(value: object): Generator<string> {
  for (const key of ["name", "key", "field", "path", "param", "parameter", "property"]) {
    let name: unknown;
    try {
      name = (value as { readonly [key: string]: unknown })[key];
    } catch {
      // The walk notes it when it reads the member.
    }
    if (typeof name === "string") yield name;
  }
}
