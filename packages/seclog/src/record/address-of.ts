/**
 * How capture learns the client's address of a request that it does not record yet: the log knows which proxies to
 * trust. A global symbol, since the log may come from another copy of this package; a log that was wrapped lacks it.
 */
export const ADDRESS_OF: unique symbol = Symbol.for("seclog.addressOf.1");

/** A log that knows the addresses of requests. */
export interface AddressKnowing {
  readonly [ADDRESS_OF]?: ((request: object) => string | undefined) | undefined;
}
