import { causesOf, type RequestCauses } from "./causes.ts";

/**
 * A request with the address that it came from, for requests that do not carry it themselves: a Fetch `Request`
 * has no socket. Hono, Bun, Deno and others supply the address separately.
 *
 * ```ts
 * security.recordSecurityEvent("authz_fail", { request, remoteAddress: server.requestIP(request)?.address });
 * ```
 */
export interface AddressedRequest {
  readonly request: object;
  /**
   * The address of the connection's peer, or `"unix"`. It decides whether the proxies' headers are trusted,
   * like the peer of a socket: see `clientIp.trust`.
   */
  readonly remoteAddress: string | null | undefined;
}

/** The request itself. Never throws. */
export function innerRequest(value: object): object {
  return isAddressed(value) ? value.request : value;
}

/** Whether a value is an {@link AddressedRequest}. Never throws. */
function isAddressed(value: object): value is AddressedRequest {
  try {
    if (!Object.hasOwn(value, "remoteAddress")) return false;
    const { request } = value as AddressedRequest;
    return typeof request === "object" && request !== null;
  } catch {
    return false;
  }
}

/** Where to read the facts of a request. */
export interface RequestSubject {
  /** The framework's request if capture has seen it, since it has more facts than the raw one. */
  readonly request: object;
  /** The address that the call supplied with the request. */
  readonly remoteAddress: string | undefined;
  /** Capture's list for the request; `undefined` if it did not see it. */
  readonly causes: RequestCauses | undefined;
}

/** Resolves what a call passed as its request. Never throws. */
export function subjectOf(value: object): RequestSubject {
  const given = isAddressed(value) ? value : undefined;
  const request = given?.request ?? value;
  const causes = causesOf(request);
  return { request: causes?.request ?? request, remoteAddress: given?.remoteAddress ?? undefined, causes };
}

/** The request of a call. The current one may carry the address of a request that is passed without it. */
export function requestInContext(given: unknown, current: object | undefined): unknown {
  if (given === undefined || given === null) return current;
  return current !== undefined && innerRequest(current) === given ? current : given;
}
