/** A real PostgreSQL that speaks TLS, with the certificate that a test chooses. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { startEmbeddedPostgres } from "../../packages/demo/src/embedded-postgres.ts";

/** Whether certificates can be made here. If not, the tests that need them are skipped, and the run says so. */
export const hasOpenssl: boolean = runs("openssl", ["version"]);

function runs(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    console.warn(`${command} is not installed: the tests of verified TLS to PostgreSQL are skipped`);
    return false;
  }
}

/** What is wrong with a server's certificate, if anything. */
export type CertificateName = "good" | "foreign" | "expired" | "otherName";

/** Paths of certificates and keys in PEM. All are newly made, and no machine trusts them. */
export interface Certificates {
  /** The authority that signed all but `foreign`. */
  readonly authority: string;
  readonly foreignAuthority: string;
  readonly server: (name: CertificateName) => { readonly cert: string; readonly key: string };
  /** The certificate of the user `tls_client`, signed by the authority. */
  readonly client: { readonly cert: string; readonly key: string };
}

/** Makes authorities and certificates for 127.0.0.1 in `folder`. */
export function makeCertificates(folder: string): Certificates {
  const file = (name: string, kind: string): string => join(folder, `${name}.${kind}`);
  const openssl = (...args: string[]): void => void execFileSync("openssl", args, { stdio: "ignore" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  for (const name of ["authority", "foreignAuthority"]) {
    const out = ["-keyout", file(name, "key"), "-out", file(name, "pem")];
    openssl("req", "-x509", ...newKey, "-days", "2", "-subj", `/CN=Seclog test ${name}`, ...out);
  }
  const issue = (name: string, subject: string, alternative: string, authority = "authority", days = "2"): void => {
    const out = ["-keyout", file(name, "key"), "-out", file(name, "csr")];
    openssl("req", "-new", ...newKey, "-subj", `/CN=${subject}`, "-addext", `subjectAltName=${alternative}`, ...out);
    const by = ["-CA", file(authority, "pem"), "-CAkey", file(authority, "key"), "-CAcreateserial"];
    const from = ["-in", file(name, "csr"), "-copy_extensions", "copy", "-days", days];
    openssl("x509", "-req", ...from, ...by, "-out", file(name, "pem"));
  };
  issue("good", "127.0.0.1", "IP:127.0.0.1");
  issue("foreign", "127.0.0.1", "IP:127.0.0.1", "foreignAuthority");
  issue("expired", "127.0.0.1", "IP:127.0.0.1", "authority", "-1");
  // "localhost" is the name that a client checks when it ignores that it connects to an address.
  issue("otherName", "127.0.0.1", "DNS:localhost,DNS:other.example");
  issue("tls_client", "tls_client", "DNS:client.example");
  const pair = (name: string) => ({ cert: file(name, "pem"), key: file(name, "key") });
  return {
    authority: file("authority", "pem"),
    foreignAuthority: file("foreignAuthority", "pem"),
    server: pair,
    client: pair("tls_client"),
  };
}

/** A test file's own server. */
export interface TlsPostgres extends AsyncDisposable {
  /** The superuser's URL, without TLS, as for any client on this machine. */
  readonly url: string;
  readonly certificates: Certificates;
  /** Switches the server to another certificate. */
  use(name: CertificateName): Promise<void>;
  /** The server's whole log, with each connection and its authentication. */
  log(): string;
}

/** Starts it with the good certificate. */
export async function startTlsPostgres(): Promise<TlsPostgres> {
  const folder = mkdtempSync(join(tmpdir(), "seclog-test-tls-"));
  const certificates = makeCertificates(folder);
  const directory = join(folder, "server");
  const server = await startEmbeddedPostgres({ directory, durable: false, settings: { log_connections: "on" } });
  const data = join(directory, "pgdata");
  const { uid, gid } = statSync(data);
  const query = async (text: string): Promise<unknown> => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    const { rows } = await client.query({ text, rowMode: "array" });
    await client.end();
    return rows[0]?.[0];
  };
  const use = async (name: CertificateName): Promise<void> => {
    const { cert, key } = certificates.server(name);
    for (const [from, to] of [
      [cert, join(data, "server.crt")],
      [key, join(data, "server.key")],
    ] as const) {
      copyFileSync(from, to);
      chmodSync(to, 0o600);
      chownSync(to, uid, gid);
    }
    const loaded = "SELECT pg_conf_load_time()::text";
    const before = await query(loaded);
    await query("SELECT pg_reload_conf()");
    while ((await query(loaded)) === before) await sleep(20);
  };
  await query("ALTER SYSTEM SET ssl = on");
  await query("ALTER SYSTEM SET ssl_ca_file = 'clients.pem'");
  copyFileSync(certificates.authority, join(data, "clients.pem"));
  chownSync(join(data, "clients.pem"), uid, gid);
  await query("CREATE ROLE tls_client LOGIN");
  const rules = join(data, "pg_hba.conf");
  writeFileSync(rules, `hostssl all tls_client 127.0.0.1/32 cert\n${readFileSync(rules, "utf8")}`);
  await use("good");
  return {
    url: server.url,
    certificates,
    use,
    log: () => readFileSync(join(directory, "postgres.log"), "utf8"),
    async [Symbol.asyncDispose]() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
