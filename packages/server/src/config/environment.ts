/** The roles' connection URLs, which only the environment holds: arguments with passwords are refused. */
import type { ClientConfig } from "pg";
import { SeclogError } from "seclog";
import { connectionConfig, optionalSecretUrl } from "seclog/postgres/schema";

/**
 * The roles that connect to the log's database: the administrator sets it up, the others write, read and seal events,
 * store what comes out of a queue, and keep the console's users.
 */
export type Role = "admin" | "writer" | "reader" | "sealer" | "relay" | "console";

/** The variable that holds each role's URL; with `_FILE` appended, the name of a file that holds it. */
export const URL_VARIABLES: { readonly [R in Role]: string } = {
  admin: "SECLOG_ADMIN_URL",
  writer: "SECLOG_DATABASE_URL",
  reader: "SECLOG_READER_URL",
  sealer: "SECLOG_SEALER_URL",
  relay: "SECLOG_RELAY_URL",
  console: "SECLOG_CONSOLE_URL",
};

/**
 * The role's connection URL; `undefined` if not configured.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the variable, never the value, which holds a password
 */
export function connectionUrl(role: Role): string | undefined {
  const url = optionalSecretUrl("environment", {}, URL_VARIABLES[role]);
  if (url !== undefined) roleConfig(role, url);
  return url;
}

/**
 * As {@link connectionUrl}, but required.
 *
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function requireUrl(role: Role): string {
  const url = connectionUrl(role);
  if (url !== undefined) return url;
  const variable = URL_VARIABLES[role];
  throw new SeclogError(
    "SECLOG_CONFIG",
    `${variable} is not set: set it, or ${variable}_FILE, to the ${role}'s postgresql:// URL`,
  );
}

/**
 * The token that every request to `seclog start` must have; `undefined` if not configured.
 *
 * @throws SeclogError `SECLOG_CONFIG` for a short one, which could be guessed
 */
export function apiToken(): string | undefined {
  const token = optionalSecretUrl("environment", {}, "SECLOG_API_TOKEN")?.trim();
  if (token === undefined || token.length >= 32) return token;
  throw new SeclogError(
    "SECLOG_CONFIG",
    "SECLOG_API_TOKEN has fewer than 32 characters: openssl rand -hex 32 makes one",
  );
}

/** pg's configuration for a role's URL, with the library's own TLS rules. */
export function roleConfig(role: Role, url: string): ClientConfig {
  return connectionConfig("environment", URL_VARIABLES[role], url, undefined);
}

/** A password in any URL, even a malformed one. A number and a slash after the colon are a port and a path. */
const URL_PASSWORD =
  /postgres(?:ql)?:\/\/(?:[^\s@]*:[^\s]+@|\S*[?&]password=)|\w:\/\/[^\s/?#@:]*:(?!\d{1,5}[/?#])[^\s@]+@/i;
const CONNECTION_URL = /postgres(?:ql)?:\/\//i;

/** libpq's form, `host=db password=x`. It takes both, since `password=` alone may be a search term. */
const CONNINFO = /(?:^|[\s=])(?:host|hostaddr|user|dbname)\s*=/i;
const CONNINFO_PASSWORD = /(?:^|[\s=])password\s*=/i;

/**
 * Refuses a password among the arguments, which every user on the machine can read in the process list.
 *
 * @throws SeclogError `SECLOG_CONFIG` that does not repeat it
 */
export function refuseSecretArguments(args: readonly string[]): void {
  const at = args.findIndex(
    (argument) => URL_PASSWORD.test(argument) || (CONNINFO.test(argument) && CONNINFO_PASSWORD.test(argument)),
  );
  const variables = [...Object.values(URL_VARIABLES), "SECLOG_QUEUE_URL"].join(", ");
  if (at < 0) {
    const url = args.findIndex((argument) => CONNECTION_URL.test(argument));
    if (url < 0) return;
    throw new SeclogError(
      "SECLOG_CONFIG",
      `argument ${url + 1} is a connection URL, which may hold a password and belongs in the environment: put it in ${variables}`,
    );
  }
  throw new SeclogError(
    "SECLOG_CONFIG",
    `argument ${at + 1} holds a password, which every user on this machine can read: change that password, and put the URL in ${variables}, or in a file that the same variable with _FILE names`,
  );
}
