/**
 * Why a request was refused. The first of these that applies decides:
 *
 * 1. an error with a meaning of its own passed by (CSRF, a webhook's signature, a token, an unreadable body);
 * 2. the request itself gives an attack tool away, falls into a trap that the application has set, or is a login at the
 *    path that the application named, whatever was answered;
 * 3. the application recorded an event that explains the refusal;
 * 4. the request is an attack by its target (traversal, a scanner's probe), or a signed webhook, and was refused;
 * 5. the status (429, 421, 401, 403, 413, 414, 415, 431, 405, 501, 500), and for 403 a foreign origin;
 * 6. the path belongs to routes of other methods, and none of them answered: `illegal_request_method`, whatever the
 *    status. It takes precedence over an unreadable body where the framework reads bodies that no route would get.
 */
import { METHODS } from "node:http";
import type { Answered, Finding } from "./answered.ts";
import type { CaptureFacts } from "./capture-facts.ts";
import type { Detector } from "./detectors.ts";
import { rateLimitExceeded, rateLimitMaximum } from "./rate-limit.ts";
import { attackToolOf, climbs, foreignOrigin, probes, signedBy } from "./signs.ts";
import { contextFields } from "./validator-contexts.ts";

const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS);

const STATUS_DETECTORS: ReadonlyMap<number, Detector> = new Map([
  [401, "unauthenticated"],
  [403, "forbidden"],
  [405, "wrongMethod"],
  [413, "malformed"],
  [414, "malformed"],
  [415, "malformed"],
  [421, "host"],
  [429, "rateLimit"],
  [431, "malformed"],
  [500, "serverError"],
  [501, "wrongMethod"],
]);

/** May throw for a response or a router that its framework did not make. */
export function judge(answered: Answered): readonly Finding[] {
  const { statusCode, explained, traps } = answered;
  const signs = [...attackTool(answered), ...(traps?.findings(answered) ?? [])];
  const errors = judgeErrors(answered);
  if (errors.length > 0) return [...errors, ...signs];
  const login = traps?.login(answered);
  if (login !== undefined) return [...signs, login];
  if (signs.length > 0) return signs;
  if (explained) return [];
  if (statusCode < 400) return answered.unrouted ? judgeMethod(answered, false) : [];
  const sign = judgeSigns(answered);
  return sign === undefined ? judgeStatus(answered) : [sign];
}

/** Whether a request must be judged although the application refused nothing. Called for every request. */
export function isSuspicious(headers: Answered["headers"]): boolean {
  return attackToolOf(headers["user-agent"] as string | undefined) !== undefined;
}

function attackTool({ headers, statusCode, detects }: Answered): readonly Finding[] {
  const toolname = detects("attackTool") ? attackToolOf(headers["user-agent"] as string | undefined) : undefined;
  return toolname === undefined ? [] : [{ detector: "attackTool", facts: { toolname, statusCode }, byError: true }];
}

function judgeErrors(answered: Answered): readonly Finding[] {
  const { statusCode, refusals, unrouted, headers } = answered;
  if (refusals === undefined) return [];
  return refusals.flatMap(({ detector, facts, ifRefused }) => {
    if (ifRefused && (statusCode < 400 || (statusCode >= 500 && ifRefused !== "or failed"))) return [];
    const method = detector === "malformed" && unrouted ? judgeMethod(answered, false) : [];
    if (method.length > 0) return method;
    const origin = detector === "cors" && { origin: headers["origin"], referer: headers["referer"] };
    // A login that failed may end in the same error as a token that is missing.
    const byError = detector !== "unauthenticated" && detector !== "validation";
    return [{ detector, facts: { ...facts, ...origin, statusCode }, byError }];
  });
}

/** What a refused request gives away by itself. */
function judgeSigns(answered: Answered): Finding | undefined {
  const { statusCode, target, method, headers, detects } = answered;
  if (statusCode >= 500) return undefined;
  const found = (detector: Detector, facts: CaptureFacts): Finding => ({
    detector,
    facts: { ...facts, statusCode },
    byError: false,
  });
  if (detects("traversal") && climbs(target)) return found("traversal", { reason: "traversal" });
  if (detects("probe") && (statusCode === 404 || statusCode === 403 || statusCode === 410) && probes(target)) {
    return found("probe", { reason: "probe" });
  }
  if (detects("webhook") && (statusCode === 400 || statusCode === 401 || statusCode === 403)) {
    const signed = signedBy(method, headers);
    if (signed !== undefined) return found("webhook", { ...signed, reason: `refused with ${statusCode}` });
  }
  return undefined;
}

function judgeStatus(answered: Answered): readonly Finding[] {
  const { statusCode, unrouted, routes, failed } = answered;
  if (routes?.refuses !== undefined) return judgeUnclaimed(answered, routes.refuses);
  const detector = detectorOf(answered);
  if (detector === "wrongMethod") return judgeMethod(answered, true);
  if (detector === "serverError" && unrouted) {
    const method = judgeMethod(answered, false);
    if (method.length > 0) return method;
  }
  if (detector !== undefined) {
    return [{ detector, facts: { ...factsOf(answered, detector), statusCode }, byError: false }];
  }
  if (statusCode < 500 && methodIsUnknown(answered)) return judgeMethod(answered, true);
  const routed = !unrouted && (failed || statusCode >= 500);
  const method = routed ? [] : judgeMethod(answered, false);
  if (method.length > 0) return method;
  return statusCode === 400 || statusCode === 422 ? judgeInput(answered) : [];
}

/** The application refused input in its own words: express-validator left the fields on the request, others nothing. */
function judgeInput({ request, statusCode, detects }: Answered): readonly Finding[] {
  const fields = contextFields(request);
  if (fields !== undefined) return [{ detector: "validation", facts: { fields, statusCode }, byError: false }];
  return detects("badRequest") ? [{ detector: "badRequest", facts: { statusCode }, byError: false }] : [];
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
  if (refuses(request, statusCode)) return [{ detector: "malformed", facts: { statusCode }, byError: false }];
  // Fastify's "not found" runs no hooks for an unknown method.
  const unknown = statusCode === 404 && methodIsUnknown(answered);
  return unrouted || unknown ? judgeMethod(answered, unknown) : [];
}

function detectorOf(answered: Answered): Detector | undefined {
  const { statusCode, request, headers, header, detects } = answered;
  if (rateLimitExceeded(request, statusCode, header)) return "rateLimit";
  if (statusCode === 403 && detects("origin") && header("access-control-allow-origin") === undefined) {
    // A browser's page from elsewhere could not even read this answer: it is refused for what it is.
    if (foreignOrigin(headers) !== undefined) return "origin";
  }
  return STATUS_DETECTORS.get(statusCode);
}

function factsOf({ request, header, headers, failure }: Answered, detector: Detector): CaptureFacts {
  if (detector === "rateLimit") return { max: rateLimitMaximum(request, header) };
  if (detector === "unauthenticated") return { scheme: schemeOf(header("www-authenticate")) };
  if (detector === "origin") return { origin: headers["origin"] };
  return detector === "serverError" || detector === "malformed" ? { reason: failure } : {};
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
