/** How code refuses a request, in the words of the frameworks. */
import { as, calleeOf, literalOf, type Node, nameOf, nodesIn, propertyOf } from "./syntax.ts";

/** The statuses that every capture judges by themselves (`docs/capture.md`). */
const JUDGED = new Set([401, 403, 405, 413, 414, 415, 421, 429, 431, 501]);

/** Whether a capture records a refusal by its status alone. */
export function capturedStatus(status: number): boolean {
  return JUDGED.has(status);
}

/** Exceptions and helpers by their names, of NestJS, @fastify/sensible and Next.js. */
const NAMED: ReadonlyMap<string, number> = new Map([
  ["BadRequestException", 400],
  ["UnauthorizedException", 401],
  ["ForbiddenException", 403],
  ["MethodNotAllowedException", 405],
  ["PayloadTooLargeException", 413],
  ["UnsupportedMediaTypeException", 415],
  ["UnprocessableEntityException", 422],
  ["badRequest", 400],
  ["unauthorized", 401],
  ["forbidden", 403],
  ["tooManyRequests", 429],
]);

/** tRPC's and GraphQL's codes. */
const CODES: ReadonlyMap<unknown, number> = new Map<unknown, number>([
  ["BAD_REQUEST", 400],
  ["UNAUTHORIZED", 401],
  ["UNAUTHENTICATED", 401],
  ["FORBIDDEN", 403],
  ["TOO_MANY_REQUESTS", 429],
]);

/** Calls whose first argument is a status. */
const STATUS_CALLS = new Set(["status", "sendStatus", "code", "createError", "throw", "abort", "writeHead"]);
/** Calls and classes with the status in a later argument, alone or as `{ status }`. */
const RESPONSES = new Set([
  "json",
  "text",
  "html",
  "body",
  "Response",
  "NextResponse",
  "HTTPException",
  "HttpException",
]);

/** The status with which a node refuses a request; `undefined` for any other node, and for 404. */
export function refusalIn(node: Node): number | undefined {
  const status = statusIn(node);
  // That something is not there is an answer. Captures count bursts of them.
  return status !== undefined && status >= 400 && status < 500 && status !== 404 ? status : undefined;
}

function statusIn(node: Node): number | undefined {
  if (node.type === "AssignmentExpression") {
    const target = as("MemberExpression", node["left"]);
    const name = nameOf(target?.["property"]);
    return name === "status" || name === "statusCode" ? numberOf(node["right"]) : undefined;
  }
  if (node.type !== "CallExpression" && node.type !== "NewExpression") return undefined;
  const { name = "" } = calleeOf(node);
  const values = nodesIn(node["arguments"]);
  const byName = NAMED.get(name);
  if (byName !== undefined && (node.type === "NewExpression" || values.length <= 1)) return byName;
  if (name === "TRPCError" || name === "GraphQLError") {
    const code = propertyOf(values[0], "code") ?? propertyOf(propertyOf(values[1], "extensions"), "code");
    return CODES.get(literalOf(code));
  }
  if (STATUS_CALLS.has(name)) return numberOf(values[0]);
  if (!RESPONSES.has(name)) return undefined;
  for (const value of values) {
    const status = numberOf(value) ?? numberOf(propertyOf(value, "status"));
    if (status !== undefined) return status;
  }
  return undefined;
}

/** A status written as a number, or as Nest's `HttpStatus.FORBIDDEN`. */
function numberOf(value: unknown): number | undefined {
  const literal = literalOf(value);
  if (typeof literal === "number") return literal;
  return CODES.get(nameOf(as("MemberExpression", value)?.["property"]));
}
