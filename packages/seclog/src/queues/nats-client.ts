/** A connection to NATS, by the shape that the clients of NATS share: `@nats-io/transport-node` 3, and `nats` 2 before it. */
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { configError } from "../event/options.ts";
import { readConfiguredFile } from "../spool/files.ts";

/** A connection that the application has made: `await connect({ servers })` of `@nats-io/transport-node`. */
export interface NatsClient {
  /** What the server says about itself. */
  readonly info?: { readonly max_payload: number; readonly cluster?: string | undefined } | undefined;
  request(subject: string, payload?: Uint8Array, options?: { timeout: number }): Promise<{ readonly data: Uint8Array }>;
  subscribe(
    subject: string,
    options?: { callback?: (error: Error | null, message: { readonly data: Uint8Array }) => void },
  ): { unsubscribe(): void };
  flush(): Promise<void>;
  isClosed(): boolean;
}

/** A connection that Seclog has made. */
export interface NatsConnection extends NatsClient {
  publish(subject: string, payload?: Uint8Array): void;
  /** Resolves when it has ended for good, with the reason if that was a failure. */
  // biome-ignore lint/suspicious/noConfusingVoidType: the client's own type
  closed(): Promise<void | Error>;
  close(): Promise<void>;
}

const CONNECT_MS = 10_000;
/** A connection without a sign of life ends after two such pauses, in milliseconds: a silent partition is noticed by that. */
const PING_MS = 2_000;
const RECONNECT_MS = 500;

/**
 * Connects to `nats://user:password@host:4222,host:4222`, or to `tls://`, which refuses servers without TLS. Parameters:
 * `credentials` (a file with a user's JWT and seed), `ca`, `cert` and `key` (PEM files).
 *
 * @param reconnect whether a lost connection is made again, for ever
 * @throws SeclogError `SECLOG_CONFIG` when the client is not installed
 */
export async function connectNats(where: string, url: string, reconnect: boolean): Promise<NatsConnection> {
  const { servers, secure, user, pass, token, parameters } = natsAddress(where, url);
  const credentials = parameters.get("credentials");
  // The client reads these files, and passes what it does not know on to node:tls.
  const tls: { caFile?: string; certFile?: string; keyFile?: string; checkServerIdentity: unknown } = {
    checkServerIdentity: identityCheck(servers),
  };
  for (const name of ["ca", "cert", "key"] as const) {
    const path = parameters.get(name);
    if (path !== null) tls[`${name}File`] = path;
  }
  // In a `try`, so that bundlers take a missing client for what it is: optional.
  try {
    const { connect, credsAuthenticator } = await import("@nats-io/transport-node");
    const authenticator =
      credentials === null ? undefined : credsAuthenticator(new TextEncoder().encode(readConfiguredFile(credentials)));
    return await connect({
      servers: [...servers],
      name: where,
      timeout: CONNECT_MS,
      pingInterval: PING_MS,
      maxPingOut: 2,
      reconnect,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      reconnectJitter: RECONNECT_MS,
      ...(user === undefined ? {} : { user, pass: pass ?? "" }),
      ...(token === undefined ? {} : { token }),
      ...(authenticator === undefined ? {} : { authenticator }),
      ...(secure ? { tls } : {}),
    });
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") throw error;
    throw configError(where, "url", "needs the client of NATS: npm install @nats-io/transport-node");
  }
}

interface NatsAddress {
  readonly servers: readonly string[];
  readonly secure: boolean;
  readonly user: string | undefined;
  readonly pass: string | undefined;
  readonly token: string | undefined;
  readonly parameters: URLSearchParams;
}

const PARAMETERS: ReadonlySet<string> = new Set(["credentials", "ca", "cert", "key"]);

/**
 * The parts of a URL. A name without a password is a token, as in NATS's own tools.
 *
 * @throws SeclogError `SECLOG_CONFIG`, which does not repeat it
 */
export function natsAddress(where: string, url: string): NatsAddress {
  const [, scheme, names, hosts, query] = /^(nats|tls):\/\/(?:([^@/]*)@)?([^/?@]+)\/?(?:\?(.*))?$/.exec(url) ?? [];
  if (hosts === undefined) {
    throw configError(where, "url", "must be nats://host:4222 or tls://host:4222, several hosts separated by commas");
  }
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!PARAMETERS.has(name)) {
      throw configError(where, "url", `has an unknown parameter ${JSON.stringify(name)}: credentials, ca, cert, key`);
    }
  }
  const files = ["ca", "cert", "key"].filter((name) => parameters.has(name));
  if (scheme === "nats" && files.length > 0) {
    throw configError(where, "url", `has ${files.join(", ")}, which need TLS: begin it with tls://`);
  }
  const [first, second] = (names ?? "").split(":", 2).map(decodeURIComponent);
  const named = first !== undefined && first !== "";
  return {
    servers: hosts.split(","),
    secure: scheme === "tls",
    user: named && second !== undefined ? first : undefined,
    pass: second,
    token: named && second === undefined ? first : undefined,
    parameters,
  };
}

/**
 * Checks a certificate for the host in the URL. Where that is an address, the client would accept one for `localhost`: it
 * does not pass the address on.
 */
function identityCheck(servers: readonly string[]): typeof checkServerIdentity {
  const addresses = servers.map((server) => server.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")).filter(isIP);
  return (host: string, certificate: PeerCertificate) => {
    if (addresses.length === 0 || host !== "localhost") return checkServerIdentity(host, certificate);
    const failures = addresses.map((address) => checkServerIdentity(address, certificate));
    return failures.includes(undefined) ? undefined : failures[0];
  };
}
