/** From an error while storing to what the shipper does about it, and the advice for the operator. */
import { type ErrorCode, errorMessage, SeclogError } from "../event/errors.ts";
import { type FailureKind, HandlerError } from "../ship/handler.ts";
import { RUN_DOCTOR, RUN_SETUP } from "./advice.ts";

/** Five capitals or digits, at least one of them a digit: EPIPE is none of PostgreSQL's. */
const SQLSTATE = /^(?=.*\d)[0-9A-Z]{5}$/;

interface Meaning {
  readonly kind: FailureKind;
  readonly code?: ErrorCode;
  /** `$VARIABLE` and `$ROLE` stand for the {@link Login}'s. */
  readonly advice?: string;
}

/** Who connects: the variable of the URL, and the role. */
export interface Login {
  readonly variable: string;
  readonly role: string;
}

/**
 * What a SQLSTATE means for the shipper, by the longest prefix listed. Anything else is retried: a retry loses nothing,
 * while a quarantine or a stop needs a reason.
 */
const MEANINGS: { readonly [prefix: string]: Meaning } = {
  // Raised by our own functions (schema/migrations/0003-sources.sql): fenced, stored before, a gap, another key.
  SL001: { kind: "destination", code: "SECLOG_SOURCE_FENCED" },
  SL002: { kind: "retry" },
  SL003: { kind: "retry" },
  SL004: {
    kind: "destination",
    code: "SECLOG_SOURCE_FENCED",
    advice: "the spool was copied or its owner file was edited",
  },
  // A trigger or a rule added to the table suppresses rows.
  SL005: { kind: "destination", advice: RUN_DOCTOR },
  // Raised for a relay only (0009-relay.sql).
  SL007: { kind: "destination", code: "SECLOG_SOURCE_SENDER" },
  SL006: { kind: "retry", advice: "find out which other client uses this login" },
  // The event's fault: values that the table cannot hold, or that a constraint forbids.
  "22": { kind: "event" },
  "23": { kind: "event" },
  "54": { kind: "event" },
  // Two attempts at one batch collided; the position says which is stored.
  "23505": { kind: "retry" },
  // RAISE EXCEPTION in a trigger added to the table.
  P0001: { kind: "event" },
  // Passes in a failover. Otherwise the URL names a standby, or default_transaction_read_only is set.
  "25006": { kind: "retry", advice: `if it persists, ${RUN_DOCTOR}` },
  // Cancelled by statement_timeout, an administrator, a shutdown.
  "57": { kind: "retry" },
  // An operator must act.
  "0A": { kind: "destination" },
  "28": { kind: "destination", advice: "check the user and the password in $VARIABLE" },
  "3D": { kind: "destination", advice: `${RUN_SETUP}, or check the database's name` },
  "3F": { kind: "destination", advice: RUN_SETUP },
  "42": { kind: "destination", advice: RUN_DOCTOR },
  "42501": { kind: "destination", advice: `${RUN_SETUP} to renew the $ROLE's privileges` },
  "42P01": { kind: "destination", code: "SECLOG_SCHEMA_MISSING", advice: RUN_SETUP },
  "42883": { kind: "destination", code: "SECLOG_SCHEMA_MISSING", advice: RUN_SETUP },
  "42703": { kind: "destination", code: "SECLOG_SCHEMA_OLDER", advice: RUN_SETUP },
  "53100": { kind: "destination", advice: "free space on the server's disk" },
};

/** TLS failures on the client's side, by code and message, with the advice. The first match counts. */
const TLS_ADVICE: readonly (readonly [failure: RegExp, advice: string])[] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID|^HOSTNAME_MISMATCH/, "connect by a name that the server's certificate holds"],
  [/^CERT_HAS_EXPIRED/, "renew the server's certificate, and check this machine's clock"],
  [/^CERT_NOT_YET_VALID/, "check this machine's clock"],
  [
    /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET|VERIFY))/,
    "if it is the right server, name its certificate authority in the URL: sslrootcert=/path/ca.pem",
  ],
  [/^(ERR_TLS_|ERR_SSL_|ERR_OSSL_)/, "see the server's log"],
  [/does not support SSL/, "set ssl = on on the server, or sslmode=disable if connections are meant to be plain"],
];

/** Advice for a TLS failure; `undefined` for any other failure. */
export function tlsAdvice(thrown: unknown): string | undefined {
  const text = `${errorCode(thrown)}: ${errorMessage(thrown)}`;
  return TLS_ADVICE.find(([failure]) => failure.test(text))?.[1];
}

/** Errors of a pooler itself (PgBouncer: SQLSTATE 08P01), with the advice. */
const POOLER_ADVICE: readonly (readonly [failure: RegExp, advice: string])[] = [
  [
    /statement pooling mode/,
    "PgBouncer's pool_mode = statement allows no transactions: set pool_mode = transaction, or session, for this database",
  ],
  [
    /^no such user|^SASL authentication failed/,
    "check the user and the password, and that PgBouncer knows them (auth_query or auth_file)",
  ],
  [/^no such database/, "add the database to [databases] of PgBouncer"],
  [/^unsupported startup parameter/, "add it to ignore_startup_parameters of PgBouncer"],
];

/** Advice for an error of a pooler; `undefined` for any other failure. */
export function poolerAdvice(thrown: unknown): string | undefined {
  if (errorCode(thrown) !== "08P01") return undefined;
  const text = errorMessage(thrown);
  return POOLER_ADVICE.find(([failure]) => failure.test(text))?.[1];
}

/** Classifies an error thrown while storing. */
export function toHandlerError(thrown: unknown, { variable, role }: Login): HandlerError {
  if (thrown instanceof HandlerError) return thrown;
  // Our own: the schema does not fit this program, and waiting does not change that.
  if (thrown instanceof SeclogError) {
    return new HandlerError("destination", `PostgreSQL: ${thrown.message}`, { cause: thrown, code: thrown.code });
  }
  const code = errorCode(thrown);
  const meaning = meaningOf(code, thrown);
  const words = meaning.advice?.replace("$VARIABLE", variable).replace("$ROLE", role);
  const advice = words === undefined ? "" : `; ${words}`;
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
 * No partition takes the event, not even a default one, which is detached for a moment or was dropped. The SQLSTATE is
 * that of a CHECK constraint, without a constraint's name.
 */
function isNoPartition(thrown: unknown): boolean {
  return errorCode(thrown) === "23514" && (thrown as { constraint?: string }).constraint === undefined;
}

function meaningOf(code: string, thrown: unknown): Meaning {
  if (isNoPartition(thrown)) return { kind: "retry" };
  const pooler = poolerAdvice(thrown);
  if (pooler !== undefined) return { kind: "destination", advice: pooler };
  if (SQLSTATE.test(code)) return MEANINGS[code] ?? MEANINGS[code.slice(0, 2)] ?? { kind: "retry" };
  // Waiting fixes neither TLS nor an authentication that the client refuses.
  const advice = tlsAdvice(thrown);
  if (advice !== undefined) return { kind: "destination", advice };
  return { kind: /SASL|client password must be/.test(errorMessage(thrown)) ? "destination" : "retry" };
}
