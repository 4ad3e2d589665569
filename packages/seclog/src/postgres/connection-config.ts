import { createPrivateKey, X509Certificate } from "node:crypto";
import type { PeerCertificate } from "node:tls";
import { errorMessage, type SeclogError } from "../event/errors.ts";
import { configError } from "../event/options.ts";
import { readConfiguredFile } from "../spool/files.ts";

/**
 * How a connection is protected.
 * - absent: as the URL's `sslmode` says; without one, TLS with verification, or none for this machine itself.
 * - `false`: no TLS, wherever the server is.
 * - `true`: TLS with verification of the certificate and the host's name.
 * - an object: the same with a certificate authority, or a client certificate, as PEM text.
 */
export type TlsOption = boolean | { readonly ca?: string; readonly cert?: string; readonly key?: string };

/** Parameters of a URL that are understood. Any other is refused: it would be silently without effect. */
const PARAMETERS = new Set(["sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "host", "port"]);

/** The part of pg's configuration that a URL gives. */
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
 * pg's configuration for a URL, checked: a mistake must show when the application starts, not in the first night
 * that it matters.
 *
 * `sslmode` means less than it says in libpq, where `require` encrypts and trusts anybody. Here:
 * `disable` is no TLS; `require`, `verify-ca` and `verify-full` are TLS with the certificate *and* the host's name
 * verified; `prefer`, `allow` and `no-verify` are refused, because they give way to whoever stands between.
 *
 * @param where what is being configured, for the message: `postgresHandler`
 * @throws SeclogError `SECLOG_CONFIG` that names the part of the URL, never the URL: it holds the password
 */
export function connectionConfig(
  where: string,
  key: string,
  url: string,
  tls: TlsOption | undefined,
): ConnectionConfig {
  const refuse = (problem: string): SeclogError => configError(where, key, problem);
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw refuse("is no URL; it should look like postgresql://user:password@host:5432/database");
  }
  if (parsed.protocol !== "postgres:" && parsed.protocol !== "postgresql:") {
    throw refuse(`has the scheme ${parsed.protocol}, not postgresql:`);
  }
  for (const name of parsed.searchParams.keys()) {
    if (name === "options") throw refuse("must not have options=…: it could turn synchronous_commit or a timeout off");
    if (!PARAMETERS.has(name)) throw refuse(`has the parameter ${name}, which is not understood`);
  }
  const host = parsed.searchParams.get("host") ?? decode(parsed.hostname.replace(/^\[(.*)\]$/, "$1"), refuse);
  const port = Number(parsed.searchParams.get("port") ?? (parsed.port || "5432"));
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw refuse("has a port that is no number");
  const user = decode(parsed.username, refuse);
  const database = decode(parsed.pathname.slice(1), refuse);
  if (host === "") throw refuse("names no host");
  if (user === "") throw refuse("names no user");
  if (database === "") throw refuse("names no database");
  const password = decode(parsed.password, refuse);
  return {
    host,
    port,
    user,
    database,
    ...(password === "" ? {} : { password }),
    application_name: parsed.searchParams.get("application_name") ?? "seclog",
    ssl: tlsConfig(parsed.searchParams, host, tls, refuse),
  };
}

function tlsConfig(
  parameters: URLSearchParams,
  host: string,
  tls: TlsOption | undefined,
  refuse: (problem: string) => SeclogError,
): ConnectionConfig["ssl"] {
  const mode = parameters.get("sslmode");
  if (tls === false || (tls === undefined && mode === "disable")) return false;
  if (mode !== null && !["disable", "require", "verify-ca", "verify-full"].includes(mode)) {
    throw refuse(`has sslmode=${mode}, which trusts whoever answers; use sslmode=verify-full, or tls: false to say so`);
  }
  const given = typeof tls === "object" ? tls : {};
  const pem = (parameter: string, text: string | undefined): string | undefined => {
    const path = parameters.get(parameter);
    if (text !== undefined || path === null) return text;
    try {
      return readConfiguredFile(path);
    } catch (cause) {
      throw refuse(`names a file in ${parameter} that cannot be read: ${errorMessage(cause)}`);
    }
  };
  const ca = pem("sslrootcert", given.ca);
  const cert = pem("sslcert", given.cert);
  const clientKey = pem("sslkey", given.key);
  // Node says nothing of a text without a certificate, and trusts every public authority when it is empty.
  try {
    if (ca !== undefined) new X509Certificate(ca);
  } catch (cause) {
    throw refuse(`has no certificate in sslrootcert (ca): ${errorMessage(cause)}`);
  }
  try {
    if (cert !== undefined || clientKey !== undefined) {
      const fit = new X509Certificate(cert ?? "").checkPrivateKey(createPrivateKey(clientKey ?? ""));
      if (!fit) throw new Error("the key is another certificate's");
    }
  } catch (cause) {
    throw refuse(`needs a certificate in sslcert (cert) and its key in sslkey (key): ${errorMessage(cause)}`);
  }
  const asked = tls !== undefined || (mode !== null && mode !== "disable") || ca !== undefined || cert !== undefined;
  if (!asked && isThisMachine(host)) return false;
  return {
    rejectUnauthorized: true,
    // Said outright, because for a host that is an address pg lets Node compare the certificate with "localhost".
    checkServerIdentity: (_name, certificate) => {
      // Not imported: an import of "node:tls" has Node read all certificate authorities, also where nobody connects.
      return process.getBuiltinModule("node:tls").checkServerIdentity(host, certificate);
    },
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(clientKey === undefined ? {} : { key: clientKey }),
  };
}

/** A Unix socket or a loopback address: nobody stands between. */
function isThisMachine(host: string): boolean {
  return host.startsWith("/") || host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function decode(text: string, refuse: (problem: string) => SeclogError): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse("has a % that is not followed by two hexadecimal digits; write it as %25");
  }
}

/**
 * A secret URL from an option, a file or the environment, in this order: `url`, `urlFile`, the variable or the
 * variable with `_FILE`.
 *
 * @throws SeclogError `SECLOG_CONFIG` when none is given, both variables are set or the file cannot be read
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

/** As {@link secretUrl}, `undefined` when none is given. */
export function optionalSecretUrl(
  where: string,
  given: { readonly url?: string | undefined; readonly urlFile?: string | undefined },
  variable: string,
): string | undefined {
  if (given.url !== undefined) return given.url;
  if (given.urlFile !== undefined) return readSecret(where, "urlFile", given.urlFile);
  const value = process.env[variable] || undefined;
  const file = process.env[`${variable}_FILE`] || undefined;
  // Whichever won, somebody would wonder why the other one's database has nothing.
  if (value !== undefined && file !== undefined)
    throw configError(where, variable, `and ${variable}_FILE are both set; keep one`);
  return file === undefined ? value : readSecret(where, `${variable}_FILE`, file);
}

function readSecret(where: string, key: string, path: string): string {
  try {
    return readConfiguredFile(path).trim();
  } catch (cause) {
    throw configError(where, key, `names a file that cannot be read: ${errorMessage(cause)}`);
  }
}
