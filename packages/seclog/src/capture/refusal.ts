/** Errors by which capture recognises why a request was refused. */
import type { Detector } from "./detectors.ts";
import { tokenReason } from "./token-errors.ts";
import { uploadRefusal, validationFields } from "./validation-errors.ts";

/** What an error reveals about the request that it ended. */
export interface Refusal {
  readonly detector: Detector;
  readonly facts: { readonly reason: string; readonly fields?: readonly string[] };
  /**
   * Whether the refusal only counts if the response says so, too: the error may be the application's own failure.
   * `"or failed"` where the framework answers 500 to what it cannot read.
   */
  readonly ifRefused?: boolean | "or failed";
}

/** `csrf-csrf` and `csurf`; `@fastify/csrf-protection`. */
const CSRF_CODES: ReadonlySet<unknown> = new Set([
  "EBADCSRFTOKEN",
  "FST_CSRF_MISSING_SECRET",
  "FST_CSRF_INVALID_TOKEN",
]);

/** The class names of Standard Webhooks (and Svix) and of Stripe, and our own code. */
const SIGNATURE_ERRORS: ReadonlySet<unknown> = new Set([
  "WebhookVerificationError",
  "StripeSignatureVerificationError",
  "SECLOG_WEBHOOK_SIGNATURE",
]);

/**
 * The `type` of body-parser's errors, except `request.aborted`, since a client that goes away has done nothing wrong,
 * and `stream.*`, which are the application's own mistakes.
 */
const BODY_ERRORS: ReadonlySet<unknown> = new Set([
  "encoding.unsupported",
  "charset.unsupported",
  "entity.parse.failed",
  "entity.too.large",
  "entity.verify.failed",
  "parameters.too.many",
  "querystring.parse.rangeError",
  "request.size.invalid",
]);

/** Fastify's own refusals of malformed requests. */
const FASTIFY_INPUT = /^FST_ERR_(?:CTP_(?:BODY_TOO_LARGE|EMPTY_|INVALID_(?:MEDIA|CONTENT|JSON))|VALIDATION$|BAD_URL$)/;

interface ErrorShape {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly type?: unknown;
  readonly status?: unknown;
  readonly statusCode?: unknown;
  readonly validation?: unknown;
  readonly validationContext?: unknown;
}

/** The known refusal that an error is. Never throws, whatever was thrown. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  try {
    const { name, code, type } = error as ErrorShape;
    if (CSRF_CODES.has(code)) return { detector: "csrf", facts: { reason: String(code) } };
    for (const mark of [name, type, code]) {
      if (SIGNATURE_ERRORS.has(mark)) return { detector: "webhook", facts: { reason: signatureReason(error, mark) } };
    }
    if (BODY_ERRORS.has(type)) return { detector: "malformed", facts: { reason: String(type) } };
    if (typeof code === "string" && FASTIFY_INPUT.test(code)) {
      const fields = code === "FST_ERR_VALIDATION" ? invalidFields(error as ErrorShape) : [];
      return { detector: "malformed", facts: { reason: code, ...(fields.length > 0 && { fields }) } };
    }
    const token = tokenReason(error);
    if (token !== undefined) return { detector: "unauthenticated", facts: { reason: token } };
    const upload = uploadRefusal(error);
    if (upload !== undefined) return { detector: "malformed", facts: upload };
    const fields = validationFields(error);
    if (fields !== undefined) {
      return {
        detector: "validation",
        facts: { reason: String(name), ...(fields.length > 0 && { fields }) },
        ifRefused: true,
      };
    }
    const said = saidRefusal(error);
    if (said !== undefined) return said;
    // A path that cannot be decoded (Express) and a body that is not JSON (older parsers) have no code of their own.
    if ((name === "URIError" || name === "SyntaxError") && errorStatus(error) === 400) {
      return { detector: "malformed", facts: { reason: name } };
    }
  } catch {
    // A getter or a proxy threw: the value is none of the errors above.
  }
  return undefined;
}

/** Libraries and snippets that have nothing but a sentence: lusca, koa-csrf; the manual of `cors`. */
function saidRefusal(error: ErrorShape & { readonly message?: unknown }): Refusal | undefined {
  const { message } = error;
  if (typeof message !== "string" || message.length > 200) return undefined;
  // lusca sets the status on the response, not on its error.
  const csrf = /^CSRF token (?:missing|mismatch)$/.test(message);
  if (csrf || (/\b(?:csrf|xsrf)\b/i.test(message) && errorStatus(error) === 403)) {
    return { detector: "csrf", facts: { reason: message } };
  }
  if (/\bnot allowed by cors\b|\bcors\b.*\b(?:not allowed|denied|blocked|rejected|refused)\b/i.test(message)) {
    return { detector: "cors", facts: { reason: "CORS" } };
  }
  return undefined;
}

/** The name of an error; `undefined` for anything else. */
export function errorName(error: unknown): string | undefined {
  try {
    const { name } = Object(error) as ErrorShape;
    return typeof name === "string" && /^\w{1,64}$/.test(name) ? name : undefined;
  } catch {
    return undefined;
  }
}

/** The status that an error requests, as Express and Fastify read it. */
export function errorStatus(error: unknown): number | undefined {
  try {
    const { status, statusCode } = Object(error) as ErrorShape;
    for (const value of [statusCode, status]) if (typeof value === "number") return value;
  } catch {
    // As above.
  }
  return undefined;
}

/** The libraries' messages are fixed sentences, except Stripe's, which is long and says no more than its name. */
function signatureReason(error: object, mark: unknown): string {
  const { message } = error as { readonly message?: unknown };
  return mark === "StripeSignatureVerificationError" || typeof message !== "string" ? String(mark) : message;
}

/** The fields that a schema refused: `body/address/zip`. At most 20, names only. */
function invalidFields({ validation, validationContext }: ErrorShape): string[] {
  if (!Array.isArray(validation)) return [];
  const context = typeof validationContext === "string" ? validationContext : "";
  const fields = new Set<string>();
  for (const issue of validation.slice(0, 20) as { instancePath?: unknown; params?: { missingProperty?: unknown } }[]) {
    const missing = typeof issue.params?.missingProperty === "string" ? `/${issue.params.missingProperty}` : "";
    fields.add(`${context}${typeof issue.instancePath === "string" ? issue.instancePath : ""}${missing}`);
  }
  return [...fields];
}
