/** A request, a response and an error as other loggers write them: pino's standard serializers, and the live objects. */
import { isNativeError } from "node:util/types";
import { isRequest } from "../record/request.ts";

type Members = { readonly [name: string]: unknown };

/**
 * What a call passes as its request: the live one, or the facts of a serialised one. Of those, method, URL, headers, id
 * and address; its query, parameters and body are left out, as they are from any event. `undefined` if it is neither.
 */
export function requestOf(value: unknown): object | undefined {
  if (!isObject(value) || !isRequest(value)) return undefined;
  if (typeof value["on"] === "function" || typeof value["arrayBuffer"] === "function") return value;
  const { method, url, id, host, remoteAddress } = value;
  if (typeof method !== "string" || typeof url !== "string") return value;
  const headers: { [name: string]: unknown } = isObject(value["headers"]) ? { ...value["headers"] } : {};
  // Fastify's serializer has the host alone.
  if (typeof host === "string") headers["host"] ??= host;
  if (typeof id === "string") headers["x-request-id"] ??= id;
  return {
    request: { method, url, headers },
    remoteAddress: typeof remoteAddress === "string" ? remoteAddress : undefined,
  };
}

/** The status of a serialised or live response. */
export function statusOf(value: unknown): number | undefined {
  const status = isObject(value) ? value["statusCode"] : undefined;
  return typeof status === "number" && Number.isInteger(status) && status >= 100 && status <= 999 ? status : undefined;
}

/**
 * A serialised error as events keep errors: name, message, code and causes. Without the stack, which names the machine's
 * files, and without other members: an HTTP client's errors carry whole requests. Anything else is returned unchanged.
 */
export function errorOf(value: unknown, depth = 0): unknown {
  if (!isObject(value) || isNativeError(value)) return value;
  const { name, type, message, code, cause, stack } = value;
  if (typeof message !== "string" || typeof stack !== "string") return value;
  const title = typeof name === "string" ? name : type;
  return {
    ...(typeof title === "string" && { name: title }),
    message,
    ...(code !== undefined && { code }),
    ...(cause !== undefined && depth < 5 && { cause: errorOf(cause, depth + 1) }),
  };
}

/** W3C Trace Context of the ids that OpenTelemetry's instrumentations add to records. */
export function traceparentOf({ trace_id, span_id, trace_flags }: Members): string | undefined {
  if (typeof trace_id !== "string" || typeof span_id !== "string") return undefined;
  return `00-${trace_id}-${span_id}-${typeof trace_flags === "string" ? trace_flags : "01"}`;
}

export function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
