/**
 * Why a token was refused, as its library says it: jsonwebtoken and what stands on it (express-jwt, koa-jwt,
 * passport-jwt), jose, `@fastify/jwt`, `hono/jwt`. Never the token, nor what it claims.
 */

interface TokenError {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly message?: unknown;
  readonly inner?: unknown;
  readonly originalError?: unknown;
  readonly cause?: unknown;
}

/** The classes of jsonwebtoken; those of `hono/jwt` begin with `Jwt`. */
const NAMES = /^(?:JsonWebTokenError|TokenExpiredError|NotBeforeError|Jwt[A-Z]\w{1,60})$/;

/** jose's, `@fastify/jwt`'s and fast-jwt's codes. */
const CODES = /^(?:ERR_J(?:WT|WS|WE|WK|WKS|OSE)_[A-Z_]{1,60}|FST_JWT_[A-Z_]{1,60}|FAST_JWT_[A-Z_]{1,60})$/;

/** The reason; `undefined` for any other error. May throw for one whose getters do. */
export function tokenReason(error: object): string | undefined {
  const { name, code, message, inner, originalError, cause } = error as TokenError;
  if (typeof code === "string" && CODES.test(code)) return code;
  // jsonwebtoken's sentences name what was expected after a full stop.
  if (typeof name === "string" && NAMES.test(name)) {
    return name === "JsonWebTokenError" && typeof message === "string" ? firstWords(message) : name;
  }
  if (name === "UnauthorizedError" && (code === "credentials_required" || code === "credentials_bad_scheme")) {
    return code;
  }
  for (const under of [inner, originalError, cause]) {
    if (typeof under !== "object" || under === null || under === error) continue;
    const reason = ownReason(under as TokenError);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function ownReason({ name, code, message }: TokenError): string | undefined {
  return tokenReason({ name, code, message });
}

function firstWords(message: string): string {
  return /^[A-Za-z ]{1,60}/.exec(message)?.[0].trim() ?? "JsonWebTokenError";
}
