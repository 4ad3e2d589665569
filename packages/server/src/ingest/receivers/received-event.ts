/** An event as a receiver hands it on, whatever its wire format. */
import type { Origin } from "seclog/receivers";

/** A part of a request's facts that a sender says, under the names of the columns. */
export interface RequestFacts {
  readonly method?: string | undefined;
  /** A path or a URL; the query is not kept. */
  readonly path?: string | undefined;
  readonly requestHost?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly requestId?: string | undefined;
  readonly traceId?: string | undefined;
  readonly spanId?: string | undefined;
  readonly ipAddress?: string | undefined;
}

/** What a sender says of one event. */
export interface ReceivedEvent {
  readonly type: string;
  readonly origin: Origin;
  readonly request: RequestFacts;
  /** The facts that a call of `recordSecurityEvent` takes, and the event's data. */
  readonly data: { readonly [name: string]: unknown };
  /** The sender's clock. */
  readonly time: Date | undefined;
  /** What it said and may not say, such as a source. Kept in the data. */
  readonly claimed?: { readonly [name: string]: unknown } | undefined;
}

/** Why one of a batch's events is refused. */
export interface Refused {
  readonly code: "malformed" | "not-allowed" | "too-large";
  readonly message: string;
}

/** One entry of a batch, as its receiver read it. */
export type Received = ReceivedEvent | Refused;

export function isRefused(received: Received): received is Refused {
  return "code" in received;
}

/** The request of a call, from what the sender says; `undefined` without any. */
export function requestOf(facts: RequestFacts): object | undefined {
  const { method, path, requestHost, userAgent, requestId, traceId, spanId, ipAddress } = facts;
  const headers: { [name: string]: string } = {};
  if (requestHost !== undefined) headers["host"] = requestHost;
  if (userAgent !== undefined) headers["user-agent"] = userAgent;
  if (requestId !== undefined) headers["x-request-id"] = requestId;
  if (traceId !== undefined && spanId !== undefined) headers["traceparent"] = `00-${traceId}-${spanId}-01`;
  const some = method ?? path ?? ipAddress ?? Object.keys(headers)[0];
  if (some === undefined) return undefined;
  const request = { headers, ...(method !== undefined && { method }), ...(path !== undefined && { url: path }) };
  return ipAddress === undefined ? request : { request, remoteAddress: ipAddress };
}
