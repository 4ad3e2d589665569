/**
 * Which events a request already has, so that a refusal is recorded once although a handler, an error handler and
 * the capture all see it. Capture opens the list when the request arrives; the recorder marks every event that has
 * a request; capture reads it a moment after the response ended, as applications record in its `finish` too.
 */

import { SHAPE } from "./copies.ts";

/** A property that is found also on a request that was passed through a proxy, and by other copies of this package. */
const CAUSES: unique symbol = Symbol.for(`seclog.causes.${SHAPE}`);

/** The types of event that were recorded for one request, and what capture knows about it. */
export class RequestCauses {
  readonly types: string[] = [];
  /** Who is at the other end, for events of which the socket is closed by the time they are recorded. */
  peer: string | undefined;
  /** The framework's request, which knows more than the one underneath, whichever a call passes. */
  request: object | undefined;
  /** Says who sends the request, in place of what authentication left there. */
  actor: ((request: object) => unknown) | undefined;

  constructor(actor?: (request: object) => unknown) {
    this.actor = actor;
  }
}

interface MarkedRequest {
  [CAUSES]?: RequestCauses | undefined;
  /** Fastify's request and Hono's `c.req`: the request underneath. */
  readonly raw?: MarkedRequest | undefined;
  /** Koa's context and request: the request underneath. */
  readonly req?: MarkedRequest | undefined;
}

/** Starts the list of a raw request; what `causesOf` gives from now on. */
export function openCauses(request: object, causes: RequestCauses): void {
  (request as MarkedRequest)[CAUSES] = causes;
}

/** The list of a request, or of the raw request inside a framework's; `undefined` when no capture saw it. */
export function causesOf(request: object): RequestCauses | undefined {
  const marked = request as MarkedRequest;
  try {
    return marked[CAUSES] ?? marked.raw?.[CAUSES] ?? marked.req?.[CAUSES];
  } catch {
    // A proxy or a getter that throws: no capture opened it.
    return undefined;
  }
}

/** Notes that an event of this type was recorded for the request of `causes`; nothing when no capture saw it. */
export function markCause(causes: RequestCauses | undefined, type: string): void {
  if (causes !== undefined && !causes.types.includes(type)) causes.types.push(type);
}

/** Whether an event of this type was recorded for the request. */
export function hasCause(request: object, type: string): boolean {
  return causesOf(request)?.types.includes(type) ?? false;
}
