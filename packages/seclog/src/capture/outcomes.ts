/** Calls for what only the application knows: how a login ended, whether access was granted, why it refused. */
import type { CatalogueData, UserId } from "../event/catalogue.ts";
import { causesOf } from "../record/causes.ts";
import { currentRequest } from "../record/context.ts";
import type { EventFacts } from "../record/facts.ts";
import type { Receipt } from "../record/security-log.ts";
import { errorName, type Refusal, refusalOf } from "./refusal.ts";

/** The log that receives the events: any `SecurityLog`. */
export interface OutcomeLog {
  readonly recordSecurityEvent: (
    type: keyof CatalogueData,
    request: object | null | undefined,
    data: { readonly [key: string]: unknown },
  ) => Receipt;
}

/** How a login ended, and any other facts worth keeping; never a password. */
export interface LoginFacts extends EventFacts {
  readonly success: boolean;
  /** The requested account, whether it exists or not. */
  readonly userid?: UserId | undefined;
  /** Why it failed: `"password"`, `"unknown-user"`, `"locked"`, … */
  readonly reason?: string | undefined;
  /** How many attempts failed before this success, if the application counts. */
  readonly retries?: number | undefined;
  readonly [key: string]: unknown;
}

/**
 * Records how a login ended: `authn_login_success` (`authn_login_successafterfail` with `retries`), or
 * `authn_login_fail`. The 401 that the route then returns causes no second event.
 *
 * ```ts
 * recordLogin(security, req, { userid: email, success: user !== undefined });
 * ```
 */
export function recordLogin(log: OutcomeLog, request: object | null | undefined, facts: LoginFacts): Receipt {
  const { success, retries, reason, ...rest } = facts;
  if (!success) return log.recordSecurityEvent("authn_login_fail", request, { ...rest, reason });
  return retries !== undefined && retries > 0
    ? log.recordSecurityEvent("authn_login_successafterfail", request, { ...rest, retries })
    : log.recordSecurityEvent("authn_login_success", request, rest);
}

/** What was requested, and any other facts worth keeping. */
export interface AccessFacts extends EventFacts {
  readonly userid?: UserId | undefined;
  /** The resource that was requested. */
  readonly resource?: string | undefined;
  readonly [key: string]: unknown;
}

/**
 * Returns `granted`, and records `authz_fail` when it is false. The 403 or 404 that the route then returns causes no
 * second event.
 *
 * ```ts
 * if (!checkAccess(security, req, order.owner === user.id, { userid: user.id, resource: `order/${order.id}` })) {
 *   return res.sendStatus(404);
 * }
 * ```
 */
export function checkAccess(
  log: OutcomeLog,
  request: object | null | undefined,
  granted: boolean,
  facts: AccessFacts = {},
): boolean {
  if (!granted) log.recordSecurityEvent("authz_fail", request, facts);
  return granted;
}

/**
 * Shows the capture an error for which your code refuses the request and answers itself: of a token, a schema, a body or a
 * webhook's signature. Errors that reach the framework are seen without it. The event that follows has the reason and the
 * names of the fields; an error that the response does not refuse the request for leaves none.
 *
 * ```ts
 * const claims = await jwtVerify(token, key).catch((error: unknown) => void noteError(error, req));
 * if (claims === undefined) return res.writeHead(401).end();
 * ```
 *
 * @param request @default the current one
 */
export function noteError(error: unknown, request?: object | null): void {
  const given = request ?? currentRequest();
  const causes = given === undefined ? undefined : causesOf(given);
  if (causes === undefined || !("sawError" in causes)) return;
  const observation = causes as unknown as NotedBy;
  const refusal = refusalOf(error) ?? unreadable(error);
  if (refusal === undefined) observation.sawError(error);
  else observation.sawRefusal({ ...refusal, ifRefused: refusal.ifRefused ?? "or failed" });
}

/** What `JSON.parse` and `decodeURIComponent` throw. */
function unreadable(error: unknown): Refusal | undefined {
  const name = errorName(error);
  return name === "SyntaxError" || name === "URIError"
    ? { detector: "malformed", facts: { reason: name }, ifRefused: true }
    : undefined;
}

/** What observes a request, whichever kind it is. */
interface NotedBy {
  sawError(error: unknown): void;
  sawRefusal(refusal: Refusal): void;
}
