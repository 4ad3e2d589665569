/** What the code of a `TRPCError` says about its call. */
import type { CaptureFacts } from "../capture-facts.ts";
import type { Detector } from "../detectors.ts";
import { errorName, refusalOf } from "../refusal.ts";

/**
 * The codes that are refusals, each with the status that tRPC answers to a single call: a batch is answered with 207.
 * Others, such as `NOT_FOUND` and `CONFLICT`, are ordinary use.
 */
const CODES: ReadonlyMap<unknown, readonly [detector: Detector, statusCode: number]> = new Map([
  ["UNAUTHORIZED", ["unauthenticated", 401]],
  ["FORBIDDEN", ["forbidden", 403]],
  ["TOO_MANY_REQUESTS", ["rateLimit", 429]],
  ["PARSE_ERROR", ["malformed", 400]],
  ["PAYLOAD_TOO_LARGE", ["malformed", 413]],
  ["UNSUPPORTED_MEDIA_TYPE", ["malformed", 415]],
  ["METHOD_NOT_SUPPORTED", ["wrongMethod", 405]],
  ["BAD_REQUEST", ["badRequest", 400]],
  ["UNPROCESSABLE_CONTENT", ["badRequest", 422]],
  ["INTERNAL_SERVER_ERROR", ["serverError", 500]],
] as const);

/** A reason to refuse the call; `undefined` for an error of ordinary use. May throw for one whose getters do. */
export function trpcFinding(error: object): { readonly detector: Detector; readonly facts: CaptureFacts } | undefined {
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown };
  const [detector, statusCode] = CODES.get(code) ?? [];
  const known = cause === undefined ? undefined : refusalOf(cause);
  if (known !== undefined) return { detector: known.detector, facts: { ...known.facts, statusCode } };
  if (detector === undefined) return undefined;
  const reason = detector === "serverError" ? (errorName(cause) ?? "TRPCError") : String(code);
  return { detector, facts: { reason, statusCode } };
}
