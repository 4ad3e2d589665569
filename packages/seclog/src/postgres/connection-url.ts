/**
 * The parts of a PostgreSQL connection URL, read as libpq reads it
 * (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS) and not as a browser would: a
 * password may contain `?` and `#`, the host may be a parameter or a socket's folder, percent-encoded.
 *
 * No error message repeats anything after the scheme: in a malformed URL any part of it may be the password.
 */

/** The parts of a URL, decoded; empty where it has none. */
export interface UrlParts {
  readonly host: string;
  readonly port: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** All parameters, such as `sslmode`. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Parameters that set a part, then the other supported ones. Any other is refused: it would silently do nothing. */
const PARTS = ["host", "port", "user", "password", "dbname"];
const PARAMETERS = ["sslmode", "sslrootcert", "sslcert", "sslkey", "application_name"];

/** Other parameters of libpq, and settings that people try to pass: the only names that a message repeats. */
const LIBPQ =
  /^(?:synchronous_commit|statement_timeout|lock_timeout|search_path|role|timezone|hostaddr|passfile|require_auth|channel_binding|connect_timeout|client_encoding|fallback_application_name|keepalives\w{0,20}|tcp_user_timeout|replication|gssencmode|ssl\w{1,30}|krbsrvname|gsslib|gssdelegation|service|target_session_attrs|load_balance_hosts|requirepeer|max_protocol_version|min_protocol_version|oauth_\w{1,30}|scram_\w{1,30})$/;

const EXAMPLE = "postgresql://user:password@host:5432/database";

const ESCAPES = "in a user's name or a password write % / ? # @ : as %25 %2F %3F %23 %40 %3A";

/**
 * Splits a URL into its parts.
 *
 * @param refuse creates the error for a problem
 * @throws the error that `refuse` created
 */
export function parseConnectionUrl(url: string, refuse: (problem: string) => Error): UrlParts {
  const text = url.trim();
  const scheme = /^postgres(?:ql)?:\/\//i.exec(text)?.[0];
  if (scheme === undefined) throw refuse(notAUrl(text));
  const rest = text.slice(scheme.length);
  const at = userEnd(rest);
  const [, user = "", password = ""] = /^([^:]*)(?::(.*))?$/s.exec(rest.slice(0, Math.max(at, 0))) ?? [];
  const [, place = "", path = "", query = ""] = /^([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(rest.slice(at + 1)) ?? [];
  if (place.includes(",")) {
    throw refuse(
      "names several hosts, and a connection goes to one: name the primary, or a host name or pooler that leads to it",
    );
  }
  const [, bracketed, plain = "", port = ""] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/s.exec(place) ?? [];
  if (bracketed === undefined && plain === "" && place !== "" && !place.startsWith(":")) {
    throw refuse(`has no host where one should be; ${ESCAPES}`);
  }
  if (/[/@]/.test(path)) throw refuse(`has a / or @ where the database's name is; ${ESCAPES}`);
  const decode = (part: string): string => decoded(part, refuse);
  const given = new Map<string, string>();
  for (const pair of query.split("&").filter((text) => text !== "")) {
    const [, name = "", value] = /^([^=]*)=(.*)$/s.exec(pair) ?? [];
    if (value === undefined) throw refuse(`has a parameter without a value; ${ESCAPES}`);
    if (name === "options") throw refuse("must not have options=…: it could turn synchronous_commit or a timeout off");
    if (!PARTS.includes(name) && !PARAMETERS.includes(name)) {
      const known = [...PARTS, ...PARAMETERS].join(", ");
      throw refuse(
        `has ${LIBPQ.test(name) ? `the parameter ${name}` : "a parameter"}, which is not supported; these are: ${known}`,
      );
    }
    given.set(name, decode(value));
  }
  const host = given.get("host") ?? bracketed ?? decode(plain);
  if (host.includes(",")) throw refuse("names several hosts, and a connection goes to one: name the primary");
  return {
    host,
    port: given.get("port") ?? decode(port),
    user: given.get("user") ?? decode(user),
    password: given.get("password") ?? decode(password),
    database: given.get("dbname") ?? decode(path),
    parameters: given,
  };
}

/**
 * Where the user and the password end, or -1: at the first @ before any slash, as in libpq, or at a later @ of the same
 * authority when the password contains one.
 */
function userEnd(rest: string): number {
  const first = /^[^/@]*@/.exec(rest)?.[0].length ?? 0;
  if (first === 0) return -1;
  const place = /^[^/?]*/.exec(rest.slice(first))?.[0] ?? "";
  return first + place.lastIndexOf("@");
}

function notAUrl(text: string): string {
  const other = /^(https?|mysql|mariadb|mssql|sqlserver|rediss?|mongodb|cockroachdb|file|tcp|unix|pg|psql):/i.exec(
    text,
  )?.[1];
  if (other !== undefined) return `has the scheme ${other}:, not postgresql:`;
  if (/^\s*\w+\s*=/.test(text)) {
    return `is in libpq's form of name=value pairs, which is not supported; write it as a URL: ${EXAMPLE}`;
  }
  return `is not a URL; it should look like ${EXAMPLE}`;
}

function decoded(text: string, refuse: (problem: string) => Error): string {
  let plain: string;
  try {
    plain = decodeURIComponent(text);
  } catch {
    throw refuse("has a % that is not followed by two hexadecimal digits; write it as %25");
  }
  if (plain.includes("\0")) throw refuse("has a NUL (%00), which neither a name nor a password can contain");
  return plain;
}
