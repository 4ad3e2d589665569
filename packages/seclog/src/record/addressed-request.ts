import { causesOf, type RequestCauses } from "./causes.ts";

/**
 * A request together with the address that it came from, for requests that do not know it themselves: a Fetch `Request`
 * has no socket. Hono, Bun, Deno and the like hand the address over beside the request.
 *
 * ```ts
 * security.recordSecurityEvent("authz_fail", { request, remoteAddress: server.requestIP(request)?.address });
 * ```
 */
export interface AddressedRequest {
  readonly request: object;
  /**
   * The address at the other end of the connection, or `"unix"`. What proxies write into the request's headers is judged
   * by it, as by the peer of a socket: see `clientIp.trust`.
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

/** Where the facts of a request are read. */
export interface RequestSubject {
  /** The framework's request where capture knows it, since it knows more than the one underneath. */
  readonly request: object;
  /** The address that was handed over beside the request. */
  readonly remoteAddress: string | undefined;
  /** What capture knows of the request, `undefined` when it did not see it. */
  readonly causes: RequestCauses | undefined;
}

/** Resolves what a call passed as its request. Never throws. */
export function subjectOf(value: object): RequestSubject {
  const given = isAddressed(value) ? value : undefined;
  const request = given?.request ?? value;
  const causes = causesOf(request);
  return { request: causes?.request ?? request, remoteAddress: given?.remoteAddress ?? undefined, causes };
}

/** The request that a call is about. The current one may know the address of a request that is passed without. */
export function requestInContext(given: unknown, current: object | undefined): unknown {
  if (given === undefined || given === null) return current;
  return current !== undefined && innerRequest(current) === given ? current : given;
}
