/**
 * How capture learns what an event of a request would be known by, before it records any: the log knows which proxies to
 * trust, and which events must not be folded. A global symbol, since the log may come from another copy of this package;
 * a log that was wrapped lacks it.
 */
export const IDENTIFY: unique symbol = Symbol.for("seclog.identify.1");

/** What a request's events have in common. */
export interface Identity {
  /** The client's address; `undefined` if it has none. */
  readonly address: string | undefined;
  /** The route's template. */
  readonly route: string | undefined;
  /** Who sends it, as an event would take it. */
  readonly actor: unknown;
  /** Whether equal events may become one with a count: not those that a call must find on disk. */
  readonly foldable: boolean;
}

/** A log that identifies requests. Never throws. */
export interface Identifying {
  readonly [IDENTIFY]?: ((type: string, request: object) => Identity | undefined) | undefined;
}
