/**
 * Which events a request already has, so that a refusal is recorded once although a handler, an error handler and
 * capture all see it. Capture opens the list when the request arrives; the recorder marks every event that has
 * a request; capture reads it just after the response ended, since applications also record in its `finish`.
 */

import { SHAPE } from "./copies.ts";

/** A property, so that a request behind a Proxy has it too; a global symbol, so that other copies of seclog find it. */
const CAUSES: unique symbol = Symbol.for(`seclog.causes.${SHAPE}`);

/** The types of event that were recorded for one request, and what capture knows about it. */
export class RequestCauses {
  readonly types: string[] = [];
  /** The peer, for events that are recorded after the socket has closed. */
  peer: string | undefined;
  /** The framework's request, which has more facts than the raw one, whichever a call passes. */
  request: object | undefined;
  /** Returns who sends the request, instead of what authentication left on it. */
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

/** Attaches the list to a raw request, for `causesOf`. */
export function openCauses(request: object, causes: RequestCauses): void {
  (request as MarkedRequest)[CAUSES] = causes;
}

/** The list of a raw request itself. May throw for a hostile one. */
export function causesAt(request: object): RequestCauses | undefined {
  return (request as MarkedRequest)[CAUSES];
}

/** The list of a request, or of the raw request inside a framework's; `undefined` if capture did not see it. */
export function causesOf(request: object): RequestCauses | undefined {
  const marked = request as MarkedRequest;
  try {
    return marked[CAUSES] ?? marked.raw?.[CAUSES] ?? marked.req?.[CAUSES];
  } catch {
    // A proxy or a getter that throws: no capture opened it.
    return undefined;
  }
}

/** Notes that an event of this type was recorded for the request, if capture saw it. */
export function markCause(causes: RequestCauses | undefined, type: string): void {
  if (causes !== undefined && !causes.types.includes(type)) causes.types.push(type);
}

/** Whether an event of this type was recorded for the request. */
export function hasCause(request: object, type: string): boolean {
  return causesOf(request)?.types.includes(type) ?? false;
}
