import type { ClientConfig } from "pg";
import { SeclogError } from "seclog";
import { connectionConfig, optionalSecretUrl } from "seclog/postgres/schema";

/** The ways into the log's database: who sets it up, who writes events, who reads them, who seals them. */
export type Role = "admin" | "writer" | "reader" | "sealer";

/** Where each role's URL is looked up; with `_FILE` appended, where the name of a file that holds it is. */
export const URL_VARIABLES: { readonly [R in Role]: string } = {
  admin: "SECLOG_ADMIN_URL",
  writer: "SECLOG_DATABASE_URL",
  reader: "SECLOG_READER_URL",
  sealer: "SECLOG_SEALER_URL",
};

/**
 * The role's connection URL, `undefined` when it is not configured.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the variable and never the value, which holds a password
 */
export function connectionUrl(role: Role): string | undefined {
  const url = optionalSecretUrl("environment", {}, URL_VARIABLES[role]);
  if (url !== undefined) roleConfig(role, url);
  return url;
}

/**
 * As {@link connectionUrl}, where there must be one.
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

/** pg's configuration of a role's URL, with TLS as the library itself would have it. */
export function roleConfig(role: Role, url: string): ClientConfig {
  return connectionConfig("environment", URL_VARIABLES[role], url, undefined);
}

/** A password in any URL, also in one that is malformed. A number and a slash behind the colon are a port and a path. */
const URL_PASSWORD =
  /postgres(?:ql)?:\/\/(?:[^\s@]*:[^\s]+@|\S*[?&]password=)|\w:\/\/[^\s/?#@:]*:(?!\d{1,5}[/?#])[^\s@]+@/i;
const CONNECTION_URL = /postgres(?:ql)?:\/\//i;

/** libpq's form, `host=db password=x`: both of them, since `password=` alone may be what somebody searches the log for. */
const CONNINFO = /(?:^|[\s=])(?:host|hostaddr|user|dbname)\s*=/i;
const CONNINFO_PASSWORD = /(?:^|[\s=])password\s*=/i;

/**
 * Refuses a password among the arguments, which every user of the machine can read in the list of processes.
 *
 * @throws SeclogError `SECLOG_CONFIG` that does not repeat it
 */
export function refuseSecretArguments(args: readonly string[]): void {
  const at = args.findIndex(
    (argument) => URL_PASSWORD.test(argument) || (CONNINFO.test(argument) && CONNINFO_PASSWORD.test(argument)),
  );
  const variables = Object.values(URL_VARIABLES).join(", ");
  if (at < 0) {
    const url = args.findIndex((argument) => CONNECTION_URL.test(argument));
    if (url < 0) return;
    throw new SeclogError(
      "SECLOG_CONFIG",
      `argument ${url + 1} is a connection URL, and those belong in the environment, since they may hold a password: put it in ${variables}`,
    );
  }
  throw new SeclogError(
    "SECLOG_CONFIG",
    `argument ${at + 1} holds a password, which every user of this machine can read: change that password, and put the URL in ${variables}, or in a file named by the same with _FILE`,
  );
}
