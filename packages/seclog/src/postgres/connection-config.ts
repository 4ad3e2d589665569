/** Connection settings from a URL and the environment, checked so that a mistake shows at the start. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { PeerCertificate } from "node:tls";
import { errorMessage, type SeclogError } from "../event/errors.ts";
import { configError } from "../event/options.ts";
import { readConfiguredFile } from "../spool/files.ts";
import { parseConnectionUrl } from "./connection-url.ts";

/**
 * How a connection is protected.
 * - absent: the URL's `sslmode` decides; without one, verified TLS, or none for a server on this machine.
 * - `false`: no TLS, wherever the server is.
 * - `true`: TLS that verifies the certificate and the host's name.
 * - an object: the same with a certificate authority, or a client certificate, as PEM text.
 */
export type TlsOption = boolean | { readonly ca?: string; readonly cert?: string; readonly key?: string };

/** The part of pg's configuration that a URL sets. */
export interface ConnectionConfig {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password?: string;
  readonly application_name: string;
  readonly ssl:
    | false
    | {
        readonly rejectUnauthorized: true;
        readonly checkServerIdentity: (name: string, certificate: PeerCertificate) => Error | undefined;
        readonly ca?: string;
        readonly cert?: string;
        readonly key?: string;
      };
}

/**
 * pg's configuration for a URL, checked: a mistake must show when the application starts, not on the first night that
 * it matters.
 *
 * `sslmode` is stricter than in libpq, where `require` encrypts and trusts any server. Here `disable` turns TLS off;
 * `require`, `verify-ca` and `verify-full` all verify the certificate *and* the host's name; `prefer`, `allow` and
 * `no-verify` are refused, because a man in the middle defeats them.
 *
 * @param where the function or command that is being configured, for the message: `postgresHandler`
 * @throws SeclogError `SECLOG_CONFIG`, naming the part of the URL but never the URL, which contains the password
 */
export function connectionConfig(
  where: string,
  key: string,
  url: string,
  tls: TlsOption | undefined,
): ConnectionConfig {
  const refuse = (problem: string): SeclogError => configError(where, key, problem);
  const { host, port: portText, user, password, database, parameters } = parseConnectionUrl(url, refuse);
  const port = Number(portText || "5432");
  if (!/^\d{0,5}$/.test(portText) || port < 1 || port > 65_535)
    throw refuse("has a port that is not a number from 1 to 65535");
  if (host === "") throw refuse("names no host; for a Unix socket write its folder as ?host=/var/run/postgresql");
  if (user === "") throw refuse("names no user");
  if (database === "") throw refuse("names no database");
  checkName("user", user, refuse);
  checkName("database", database, refuse);
  return {
    host,
    port,
    user,
    database,
    ...(password === "" ? {} : { password }),
    application_name: parameters.get("application_name") ?? "seclog",
    ssl: tlsConfig(parameters, host, tls, refuse),
  };
}

/** The longest name in PostgreSQL, in bytes (NAMEDATALEN - 1). */
const LONGEST_NAME = 63;

/**
 * PostgreSQL silently truncates a longer name, which can make two names one: two teams would share a log.
 *
 * @throws the error that `refuse` created
 */
export function checkName(what: string, name: string, refuse: (problem: string) => Error): void {
  const bytes = Buffer.byteLength(name);
  if (bytes <= LONGEST_NAME) return;
  throw refuse(
    `names a ${what} of ${bytes} bytes, and PostgreSQL truncates names to ${LONGEST_NAME}: choose a shorter one`,
  );
}

function tlsConfig(
  parameters: ReadonlyMap<string, string>,
  host: string,
  tls: TlsOption | undefined,
  refuse: (problem: string) => SeclogError,
): ConnectionConfig["ssl"] {
  const mode = parameters.get("sslmode");
  if (tls === false || (tls === undefined && mode === "disable")) return false;
  if (mode !== undefined && !["disable", "require", "verify-ca", "verify-full"].includes(mode)) {
    const lax = ["allow", "prefer", "no-verify"].includes(mode);
    throw refuse(
      lax
        ? `has sslmode=${mode}, which trusts any server that answers; use sslmode=verify-full, or tls: false for none`
        : "has an sslmode that does not exist; use sslmode=verify-full",
    );
  }
  const texts = typeof tls === "object" ? tls : {};
  const pem = (parameter: string, text: string | undefined): string | undefined => {
    const path = parameters.get(parameter);
    if (text !== undefined || path === undefined) return text;
    try {
      return readConfiguredFile(path);
    } catch (cause) {
      throw refuse(`names a file in ${parameter} that cannot be read (${codeOf(cause)})`);
    }
  };
  const ca = pem("sslrootcert", texts.ca);
  const cert = pem("sslcert", texts.cert);
  const clientKey = pem("sslkey", texts.key);
  // Node accepts a text without a certificate, and trusts every public authority when it is empty.
  try {
    if (ca !== undefined) new X509Certificate(ca);
  } catch (cause) {
    throw refuse(`has no certificate in sslrootcert (ca): ${errorMessage(cause)}`);
  }
  try {
    if (cert !== undefined || clientKey !== undefined) {
      const fit = new X509Certificate(cert ?? "").checkPrivateKey(createPrivateKey(clientKey ?? ""));
      if (!fit) throw new Error("the key belongs to another certificate");
    }
  } catch (cause) {
    throw refuse(`needs a certificate in sslcert (cert) and its key in sslkey (key): ${errorMessage(cause)}`);
  }
  const wantsTls =
    tls !== undefined || (mode !== undefined && mode !== "disable") || ca !== undefined || cert !== undefined;
  if (!wantsTls && isThisMachine(host)) return false;
  return {
    rejectUnauthorized: true,
    // Explicit, because for a host that is an address pg makes Node compare the certificate with "localhost".
    checkServerIdentity: (_name, certificate) => {
      // Not imported: importing "node:tls" makes Node read all certificate authorities, even if nothing connects.
      return process.getBuiltinModule("node:tls").checkServerIdentity(host, certificate);
    },
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(clientKey === undefined ? {} : { key: clientKey }),
  };
}

/** A Unix socket or a loopback address: no network in between. */
function isThisMachine(host: string): boolean {
  return host.startsWith("/") || host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/**
 * A secret URL from an option, a file or the environment, in this order: `url`, `urlFile`, the variable or the variable
 * with `_FILE`.
 *
 * @throws SeclogError `SECLOG_CONFIG` when none is set, when both variables are, or when the file cannot be read
 */
export function secretUrl(
  where: string,
  given: { readonly url?: string | undefined; readonly urlFile?: string | undefined },
  variable: string,
): string {
  const url = optionalSecretUrl(where, given, variable);
  if (url === undefined) throw configError(where, "url", `is missing; set ${variable} or ${variable}_FILE`);
  return url;
}

/** As {@link secretUrl}, but `undefined` when none is set. */
export function optionalSecretUrl(
  where: string,
  given: { readonly url?: string | undefined; readonly urlFile?: string | undefined },
  variable: string,
): string | undefined {
  if (given.url !== undefined) return given.url;
  if (given.urlFile !== undefined) return readSecret(where, "urlFile", given.urlFile);
  const value = process.env[variable] || undefined;
  const file = process.env[`${variable}_FILE`] || undefined;
  // Whichever won, events would be missing from the database that the other one names.
  if (value !== undefined && file !== undefined)
    throw configError(where, variable, `and ${variable}_FILE are both set; keep one`);
  return file === undefined ? value : readSecret(where, `${variable}_FILE`, file);
}

function readSecret(where: string, key: string, path: string): string {
  try {
    return readConfiguredFile(path).trim();
  } catch (cause) {
    // Without the path: it is the URL itself when the wrong one of the two variables was set.
    throw configError(where, key, `names a file that cannot be read (${codeOf(cause)})`);
  }
}

/** Why a file cannot be read, without its path. */
function codeOf(cause: unknown): string {
  const { code, message = "" } = cause as { readonly code?: string; readonly message?: string };
  return code ?? / is (a .+, not a regular file)$/.exec(message)?.[1] ?? "not a regular file";
}
