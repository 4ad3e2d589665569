import { type ErrorCode, errorMessage, SeclogError } from "../event/errors.ts";
import { type FailureKind, HandlerError } from "../ship/handler.ts";
import { RUN_DOCTOR, RUN_SETUP } from "./advice.ts";

/** Five letters and digits; with a digit, unlike EPIPE. */
const SQLSTATE = /^(?=.*\d)[0-9A-Z]{5}$/;

interface Meaning {
  readonly kind: FailureKind;
  readonly code?: ErrorCode;
  readonly advice?: string;
}

/**
 * What a SQLSTATE means for the shipper, by the longest prefix that is listed. What is not listed may pass: to
 * retry loses nothing, to quarantine or to stop needs a reason.
 */
const MEANINGS: { readonly [prefix: string]: Meaning } = {
  // What our own functions raise (schema/migrations/0003-sources.sql): fenced, stored before, a gap, another key.
  SL001: { kind: "destination", code: "SECLOG_SOURCE_FENCED" },
  SL002: { kind: "retry" },
  SL003: { kind: "retry" },
  SL004: {
    kind: "destination",
    code: "SECLOG_SOURCE_FENCED",
    advice: "the spool was copied or its owner file was edited",
  },
  // A trigger or a rule that somebody has added keeps events from being stored.
  SL005: { kind: "destination", advice: RUN_DOCTOR },
  SL006: { kind: "retry", advice: "find out who else uses this login" },
  // The event: a value or a combination of values that the table cannot hold, or that a constraint forbids.
  "22": { kind: "event" },
  "23": { kind: "event" },
  "54": { kind: "event" },
  // Two tries of the same batch met; the position says which of them is stored.
  "23505": { kind: "retry" },
  // RAISE EXCEPTION in a trigger that somebody has added.
  P0001: { kind: "event" },
  // In a failover it passes; otherwise the URL names a standby, or somebody has set default_transaction_read_only.
  "25006": { kind: "retry", advice: `should it stay so, ${RUN_DOCTOR}` },
  // Cancelled by statement_timeout, an administrator, a shutdown.
  "57": { kind: "retry" },
  // Somebody must act.
  "0A": { kind: "destination" },
  "28": { kind: "destination", advice: "check the user and the password in SECLOG_DATABASE_URL" },
  "3D": { kind: "destination", advice: `${RUN_SETUP}, or check the database's name` },
  "3F": { kind: "destination", advice: RUN_SETUP },
  "42": { kind: "destination", advice: RUN_DOCTOR },
  "42501": { kind: "destination", advice: `${RUN_SETUP} to renew the writer's privileges` },
  "42P01": { kind: "destination", code: "SECLOG_SCHEMA_MISSING", advice: RUN_SETUP },
  "42883": { kind: "destination", code: "SECLOG_SCHEMA_MISSING", advice: RUN_SETUP },
  "42703": { kind: "destination", code: "SECLOG_SCHEMA_OLDER", advice: RUN_SETUP },
  "53100": { kind: "destination", advice: "make room on the server's disk" },
};

/** Failures of TLS that the client finds, by code and message, and what to do. The first that fits counts. */
const TLS_ADVICE: readonly (readonly [failure: RegExp, advice: string])[] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID|^HOSTNAME_MISMATCH/, "connect by a name that the server's certificate holds"],
  [/^CERT_HAS_EXPIRED/, "renew the server's certificate, and see that this machine's clock is right"],
  [/^CERT_NOT_YET_VALID/, "see that this machine's clock is right"],
  [
    /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET|VERIFY))/,
    "if it is the right server, name the authority of its certificate: sslrootcert=/path/ca.pem in the URL",
  ],
  [/^(ERR_TLS_|ERR_SSL_|ERR_OSSL_)/, "see the server's log"],
  [/does not support SSL/, "set ssl = on at the server, or sslmode=disable where plain connections are meant to be"],
];

/** What to do about a failure of TLS; `undefined` for any other failure. */
export function tlsAdvice(thrown: unknown): string | undefined {
  const text = `${errorCode(thrown)}: ${errorMessage(thrown)}`;
  return TLS_ADVICE.find(([failure]) => failure.test(text))?.[1];
}

/** What a pooler says before PostgreSQL is asked (PgBouncer: SQLSTATE 08P01), and what to do. */
const POOLER_ADVICE: readonly (readonly [failure: RegExp, advice: string])[] = [
  [
    /statement pooling mode/,
    "PgBouncer's pool_mode = statement takes no transactions: set pool_mode = transaction, or session, for this database",
  ],
  [
    /^no such user|^SASL authentication failed/,
    "check the user and the password, and that PgBouncer knows them (auth_query or auth_file)",
  ],
  [/^no such database/, "add the database to [databases] of PgBouncer"],
  [/^unsupported startup parameter/, "let PgBouncer pass it: ignore_startup_parameters"],
];

/** What to do about a failure that a pooler reports; `undefined` for any other failure. */
export function poolerAdvice(thrown: unknown): string | undefined {
  if (errorCode(thrown) !== "08P01") return undefined;
  const text = errorMessage(thrown);
  return POOLER_ADVICE.find(([failure]) => failure.test(text))?.[1];
}

/** Whatever was thrown while storing, as the failure that it is. */
export function toHandlerError(thrown: unknown): HandlerError {
  if (thrown instanceof HandlerError) return thrown;
  // Our own: the schema is not the one that this program knows, and waiting does not change it.
  if (thrown instanceof SeclogError) {
    return new HandlerError("destination", `PostgreSQL: ${thrown.message}`, { cause: thrown, code: thrown.code });
  }
  const code = errorCode(thrown);
  const meaning = meaningOf(code, thrown);
  const advice = meaning.advice === undefined ? "" : `; ${meaning.advice}`;
  const state = SQLSTATE.test(code) ? ` (SQLSTATE ${code})` : "";
  return new HandlerError(meaning.kind, `PostgreSQL: ${errorMessage(thrown)}${state}${advice}`, {
    cause: thrown,
    ...(meaning.code === undefined ? {} : { code: meaning.code }),
  });
}

/** The error's `code`: a SQLSTATE, Node's name, or the empty string. */
export function errorCode(thrown: unknown): string {
  const code = typeof thrown === "object" && thrown !== null && "code" in thrown ? thrown.code : undefined;
  return typeof code === "string" ? code : "";
}

/**
 * No partition for an event, not even a default one: a default partition is detached for a moment, or somebody dropped it. It
 * has the SQLSTATE of a CHECK constraint, but no constraint's name.
 */
function isNoPartition(thrown: unknown): boolean {
  return errorCode(thrown) === "23514" && (thrown as { constraint?: string }).constraint === undefined;
}

function meaningOf(code: string, thrown: unknown): Meaning {
  if (isNoPartition(thrown)) return { kind: "retry" };
  const pooler = poolerAdvice(thrown);
  if (pooler !== undefined) return { kind: "destination", advice: pooler };
  if (SQLSTATE.test(code)) return MEANINGS[code] ?? MEANINGS[code.slice(0, 2)] ?? { kind: "retry" };
  // Waiting mends neither TLS nor what the client finds wrong with the authentication.
  const advice = tlsAdvice(thrown);
  if (advice !== undefined) return { kind: "destination", advice };
  return { kind: /SASL|client password must be/.test(errorMessage(thrown)) ? "destination" : "retry" };
}
