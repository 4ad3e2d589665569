/** What the errors of a GraphQL operation reveal about its request. Messages quote values, so none is kept. */
import type { CaptureFacts } from "../capture-facts.ts";
import type { Detector } from "../detectors.ts";
import { errorName, refusalOf } from "../refusal.ts";

/** The part of a GraphQL error that is read. */
interface GraphqlError {
  readonly message?: unknown;
  readonly path?: unknown;
  readonly originalError?: unknown;
  readonly extensions?: {
    readonly code?: unknown;
    readonly validationErrorCode?: unknown;
    readonly http?: { readonly status?: unknown };
  };
}

/** Where an operation ended. */
export type Phase = "parse" | "validate" | "execute";

/** A reason for which an operation was refused, and how many of its errors have it. */
export interface GraphqlFinding {
  readonly detector: Detector;
  readonly facts: CaptureFacts;
}

/** What servers and directives put into `extensions.code`. */
const CODES: ReadonlyMap<unknown, Detector> = new Map([
  ["UNAUTHENTICATED", "unauthenticated"],
  ["UNAUTHORIZED", "unauthenticated"],
  ["FORBIDDEN", "forbidden"],
  ["RATE_LIMITED", "rateLimit"],
  ["RATE_LIMIT_EXCEEDED", "rateLimit"],
  ["TOO_MANY_REQUESTS", "rateLimit"],
  ["BAD_USER_INPUT", "badRequest"],
  ["BAD_REQUEST", "badRequest"],
  ["GRAPHQL_PARSE_FAILED", "malformed"],
  ["GRAPHQL_VALIDATION_FAILED", "validation"],
] as const);

const STATUSES: ReadonlyMap<unknown, Detector> = new Map([
  [401, "unauthenticated"],
  [403, "forbidden"],
  [429, "rateLimit"],
] as const);

/** GraphQL.js (`NoSchemaIntrospectionCustomRule`) and Apollo Server. */
const INTROSPECTION = /^GraphQL introspection (?:has been disabled|is not allowed)\b/;

/** Apollo Server, for a request that a form of another site can send. */
const CSRF = /^This operation has been blocked as a potential Cross-Site Request Forgery\b/;

/** Limits of depth, cost, aliases, directives and tokens: of GraphQL.js, graphql-depth-limit and GraphQL Armor. */
const LIMIT =
  /\b(?:depth|complexity|cost|alias(?:es)?|directives?|tokens?|recursive selections?)\b.*\b(?:exceed\w*|limit|maximum|more than)\b|\b(?:exceed\w*|limit|maximum|more than)\b.*\b(?:depth|complexity|cost|alias(?:es)?|directives?|tokens?|recursive selections?)\b/i;

/** The findings in an operation's errors, one for each kind, with the number of errors as `count`. Never throws. */
export function graphqlFindings(errors: readonly unknown[], phase: Phase): readonly GraphqlFinding[] {
  const found = new Map<string, { detector: Detector; facts: CaptureFacts; count: number }>();
  for (const error of errors) {
    let finding: GraphqlFinding | undefined;
    try {
      finding = findingOf(Object(error) as GraphqlError, phase);
    } catch {
      // A thrown value whose getters throw.
    }
    if (finding === undefined) continue;
    const key = `${finding.detector} ${String(finding.facts["reason"])}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { ...finding, count: 1 });
    else known.count += 1;
  }
  return [...found.values()].map(({ detector, facts, count }) => ({
    detector,
    facts: count === 1 ? facts : { ...facts, count },
  }));
}

function findingOf(error: GraphqlError, phase: Phase): GraphqlFinding | undefined {
  const { message, path, extensions } = error;
  const code = extensions?.code;
  const text = typeof message === "string" ? message.slice(0, 500) : "";
  if (
    extensions?.validationErrorCode === "INTROSPECTION_DISABLED" ||
    (phase === "validate" && INTROSPECTION.test(text))
  )
    return { detector: "probe", facts: { reason: "introspection" } };
  if (phase !== "execute") {
    if (extensions?.validationErrorCode !== undefined || LIMIT.test(text))
      return { detector: "malformed", facts: { reason: "limit" } };
    return phase === "parse"
      ? { detector: "malformed", facts: { reason: "GRAPHQL_PARSE_FAILED" } }
      : { detector: "validation", facts: { reason: "GRAPHQL_VALIDATION_FAILED" } };
  }
  if (CSRF.test(text)) return { detector: "csrf", facts: { reason: "Apollo Server" } };
  const refusal = refusalOf(rootOf(error));
  if (refusal !== undefined) return refusal;
  const variable = /^Variable "\$(\w{1,100})" (?:got invalid value|of )/.exec(text)?.[1];
  // An error of a resolver has a path.
  if (variable !== undefined && path === undefined)
    return { detector: "validation", facts: { reason: "BAD_USER_INPUT", fields: [variable] } };
  const detector = CODES.get(code) ?? STATUSES.get(extensions?.http?.status);
  if (detector !== undefined) return { detector, facts: typeof code === "string" ? { reason: code } : {} };
  if (!isUnexpected(error)) return undefined;
  return { detector: "serverError", facts: { reason: errorName(rootOf(error)) } };
}

/** What a resolver threw, under the errors that name its place. */
function rootOf(error: GraphqlError): unknown {
  let root: unknown = error;
  for (let depth = 0; depth < 5; depth++) {
    const inner = (Object(root) as GraphqlError).originalError;
    if (inner === undefined || inner === null) break;
    root = inner;
  }
  return root;
}

/** An error that the application did not make for its clients. */
function isUnexpected(error: GraphqlError): boolean {
  const name = errorName(rootOf(error));
  return error.extensions?.code === "INTERNAL_SERVER_ERROR" || (name !== undefined && name !== "GraphQLError");
}
