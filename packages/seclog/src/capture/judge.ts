/**
 * Why a request was refused. The first of these that applies decides:
 *
 * 1. an error with a meaning of its own passed by (CSRF, a webhook's signature, an unreadable body);
 * 2. the application recorded an event that explains the refusal;
 * 3. the status (429, 401, 403, 413, 414, 415, 431, 405, 501);
 * 4. the path belongs to routes of other methods, and none of them answered: `illegal_request_method`, whatever the
 *    status. It takes precedence over an unreadable body where the framework reads bodies that no route would get.
 */
import { METHODS } from "node:http";
import type { CaptureFacts } from "./capture.ts";
import { rateLimitExceeded, rateLimitMaximum } from "./rate-limit.ts";
import type { Detector, Refusal } from "./refusal.ts";
import type { AskedRequest, RouteKnowledge } from "./routes.ts";

/** What is known of a request when its response has ended. */
export interface Answered extends AskedRequest {
  readonly statusCode: number;
  /** The errors with a meaning of their own that passed by. */
  readonly refusals: readonly Refusal[] | undefined;
  /** Whether the application recorded an event that explains a refusal. */
  readonly explained: boolean;
  /** Whether the framework reported that no route takes this request. */
  readonly unrouted: boolean;
  /** Whether an error passed other than "not found" and "method not allowed". */
  readonly failed: boolean;
  readonly method: string;
  readonly routes: RouteKnowledge | undefined;
  /** A header of the response. */
  readonly header: (name: string) => unknown;
  readonly detects: (detector: Detector) => boolean;
}

/** A reason for the refusal, to be recorded unless the application did so itself. */
export interface Finding {
  readonly detector: Detector;
  readonly facts: CaptureFacts;
  /** Whether only an event of the same type explains it; a status may have other explanations, an error may not. */
  readonly byError: boolean;
}

const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS);

const STATUS_DETECTORS: ReadonlyMap<number, Detector> = new Map([
  [401, "unauthenticated"],
  [403, "forbidden"],
  [405, "wrongMethod"],
  [413, "malformed"],
  [414, "malformed"],
  [415, "malformed"],
  [429, "rateLimit"],
  [431, "malformed"],
  [501, "wrongMethod"],
]);

/** May throw for a response or a router that its framework did not make. */
export function judge(answered: Answered): readonly Finding[] {
  const { statusCode, refusals, unrouted, routes, failed } = answered;
  if (refusals !== undefined) {
    return refusals.flatMap(({ detector, facts }) => {
      const method = detector === "malformed" && unrouted ? judgeMethod(answered, false) : [];
      return method.length > 0 ? method : [{ detector, facts: { ...facts, statusCode }, byError: true }];
    });
  }
  if (answered.explained) return [];
  if (routes?.refuses !== undefined) return judgeUnclaimed(answered, routes.refuses);
  const detector = detectorOf(answered);
  if (detector === "wrongMethod") return judgeMethod(answered, true);
  if (detector !== undefined) {
    return [{ detector, facts: { ...factsOf(answered, detector), statusCode }, byError: false }];
  }
  if (statusCode >= 400 && statusCode < 500 && methodIsUnknown(answered)) return judgeMethod(answered, true);
  const routed = !unrouted && (failed || (statusCode >= 500 && statusCode !== 501));
  return routed ? [] : judgeMethod(answered, false);
}

/** Over HTTP/1.1, Node's parser refuses such a method; HTTP/2 leaves that to the application. */
function methodIsUnknown({ method }: Answered): boolean {
  return !KNOWN_METHODS.has(method);
}

/** It is unknown whether the application's code answered: only what the router itself refuses is certain. */
function judgeUnclaimed(
  answered: Answered,
  refuses: (request: object, statusCode: number) => boolean,
): readonly Finding[] {
  const { statusCode, request, unrouted } = answered;
  if (statusCode >= 400 && refuses(request, statusCode)) {
    return [{ detector: "malformed", facts: { statusCode }, byError: false }];
  }
  // Fastify's "not found" runs no hooks for an unknown method.
  const unknown = statusCode === 404 && methodIsUnknown(answered);
  return unrouted || unknown ? judgeMethod(answered, unknown) : [];
}

function detectorOf(answered: Answered): Detector | undefined {
  const { statusCode, request } = answered;
  if (statusCode >= 400 && rateLimitExceeded(request, statusCode, answered.header)) return "rateLimit";
  return STATUS_DETECTORS.get(statusCode);
}

function factsOf({ request, header }: Answered, detector: Detector): CaptureFacts {
  if (detector === "rateLimit") return { max: rateLimitMaximum(request, header) };
  if (detector === "unauthenticated") return { scheme: schemeOf(header("www-authenticate")) };
  return {};
}

/** @param said whether the application itself named the method as the reason */
function judgeMethod(answered: Answered, said: boolean): readonly Finding[] {
  const { statusCode, routes } = answered;
  if (!answered.detects("wrongMethod")) return [];
  const other = routes?.otherMethods(answered, statusCode);
  if (other === undefined && !said) return [];
  const facts = {
    statusCode,
    allowedMethods: answered.header("allow") ?? other?.allowed.join(", "),
    ...(other?.route !== undefined && { route: other.route }),
  };
  return [{ detector: "wrongMethod", facts, byError: false }];
}

/** `Bearer` of `WWW-Authenticate: Bearer realm="shop"`. */
function schemeOf(header: unknown): string | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  return typeof text === "string" ? /^[\w-]{1,32}/.exec(text)?.[0] : undefined;
}
