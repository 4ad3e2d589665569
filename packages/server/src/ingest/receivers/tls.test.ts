import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { collectorHandler } from "seclog/collector";
import { exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { type Certificates, hasOpenssl, makeCertificates } from "#test/support/tls-postgres.ts";
import { type Collector, startCollector } from "./collector.ts";
import { addToken } from "./token-file.ts";

describe.skipIf(!hasOpenssl)("a collector with a certificate of its own", () => {
  let database: TestDatabase;
  let collector: Collector;
  let certificates: Certificates;
  let token: string;
  const folder = mkdtempSync(join(tmpdir(), "seclog-collect-tls-"));
  const spool = join(folder, "spool");
  const cert = join(folder, "collector.pem");
  const key = join(folder, "collector-key.pem");
  const dropped: string[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    certificates = makeCertificates(folder);
    install("good");
    token = addToken(spool, { name: "shop", services: ["example"] }).token;
    collector = await startCollector({
      listen: { host: "127.0.0.1", port: 0 },
      spool,
      url: database.writerUrl,
      relayUrl: database.relayUrl,
      certificate: { cert, key },
      syslog: {
        sender: "shop",
        clientAuthorities: certificates.authority,
        listeners: [{ protocol: "tls", listen: { host: "127.0.0.1", port: 0 } }],
      },
      renewalMs: 100,
      onTrouble: (error) => dropped.push(String(error)),
    });
  });
  afterAll(async () => {
    await collector.close();
    await database[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function install(name: "good" | "otherName"): void {
    const chosen = certificates.server(name);
    copyFileSync(chosen.cert, cert);
    copyFileSync(chosen.key, key);
    const later = new Date(Date.now() + (name === "good" ? 0 : 10_000));
    for (const path of [cert, key]) utimesSync(path, later, later);
  }

  const authority = (): string => readFileSync(certificates.authority, "utf8");

  /** The status of a new connection's response, or the code of its failure. */
  async function ask(ca: string): Promise<number | string> {
    return await new Promise((done) => {
      const asked = request(`${collector.url}/healthz`, { ca, agent: false }, (response) => {
        response.resume();
        done(response.statusCode ?? 0);
      });
      asked.on("error", (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
      asked.end();
    });
  }

  function connectSyslog(client: { readonly cert?: string; readonly key?: string }): TLSSocket {
    const [url = ""] = collector.syslog;
    const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1", ca: authority(), ...client });
    socket.on("error", () => {});
    return socket;
  }

  it("serves HTTPS to who trusts its authority, and takes envelopes there", async () => {
    expect(collector.url).toMatch(/^https:/);
    expect(await ask(authority())).toBe(200);
    expect(await ask(readFileSync(certificates.foreignAuthority, "utf8"))).toMatch(/VERIFY|SELF_SIGNED|UNABLE/);
    const handler = collectorHandler({ url: collector.url, token, tls: { ca: authority() } });
    await handler.handle(exampleBatch({ count: 3 }), AbortSignal.timeout(20_000));
    await handler.close();
    const untrusting = collectorHandler({ url: collector.url, token });
    await expect(
      untrusting.handle(exampleBatch({ firstSeq: 4, count: 1 }), AbortSignal.timeout(20_000)),
    ).rejects.toMatchObject({ kind: "destination" });
    await untrusting.close();
  });

  it("takes syslog over TLS from clients with a certificate, and from no others", async () => {
    const { cert: clientCert, key: clientKey } = certificates.client;
    const socket = connectSyslog({ cert: readFileSync(clientCert, "utf8"), key: readFileSync(clientKey, "utf8") });
    await once(socket, "secureConnect");
    const message = "<38>1 - web-1 sshd - - - over TLS";
    socket.end(`${message.length} ${message}`);
    await expect
      .poll(
        async () =>
          await database.query(
            "SELECT FROM security_event_log WHERE data ->> 'message' = 'over TLS' AND host = 'web-1'",
          ),
        { timeout: 15_000 },
      )
      .toHaveLength(1);
    const stranger = connectSyslog({});
    stranger.write("<38>1 - web-2 sshd - - - stranger\n");
    // `once` would reject for the alert that comes first.
    await new Promise((done) => stranger.once("close", done));
    expect(await database.query("SELECT FROM security_event_log WHERE host = 'web-2'")).toEqual([]);
  });

  it("takes a renewed certificate without a restart", async () => {
    install("otherName");
    // The new one is for another name, which shows that it is in use.
    await expect.poll(async () => await ask(authority())).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
  });
});
