/** What rate limiters leave on a request and its response. */

/** Reads one of the response's headers. */
type Header = (name: string) => unknown;

/** What `express-rate-limit` leaves on the request. */
interface RateLimitInfo {
  readonly limit?: unknown;
  readonly used?: unknown;
}

/**
 * Whether a limit was exceeded, whatever the status: `express-rate-limit` with a status of its own, and the ban of
 * `@fastify/rate-limit`, which answers 403 with the headers of an exhausted limit.
 */
export function rateLimitExceeded(request: object, statusCode: number, header: Header): boolean {
  const { limit, used } = rateLimitInfo(request);
  if (typeof limit === "number" && typeof used === "number" && used > limit) return true;
  if (statusCode !== 403 || header("retry-after") === undefined) return false;
  const remaining = header("x-ratelimit-remaining") ?? header("ratelimit-remaining");
  return remaining === 0 || remaining === "0";
}

export function rateLimitMaximum(request: object, header: Header): number | undefined {
  const { limit } = rateLimitInfo(request);
  const value = limit ?? header("x-ratelimit-limit") ?? header("ratelimit-limit");
  const max = typeof value === "string" ? Number.parseInt(value, 10) : value;
  return typeof max === "number" && Number.isFinite(max) ? max : undefined;
}

function rateLimitInfo(request: object): RateLimitInfo {
  const { rateLimit } = request as { readonly rateLimit?: RateLimitInfo };
  return typeof rateLimit === "object" && rateLimit !== null ? rateLimit : {};
}
