/** TLS to a real PostgreSQL: which servers are trusted, and that no other receives a credential or an event. */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type CertificateName, hasOpenssl, startTlsPostgres, type TlsPostgres } from "#test/support/tls-postgres.ts";
import { createSecurityLog } from "../log/create-security-log.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { type PostgresHandlerOptions, postgresHandler } from "./handler.ts";
import { setupDatabase } from "./schema/setup.ts";

const PASSWORD = "tls-test-password";

let server: TlsPostgres;
let admin: pg.Pool;
let handlers: SecurityEventHandler[] = [];
let nextSource = 0;
let sourceId = "";

describe.skipIf(!hasOpenssl)("TLS to PostgreSQL", () => {
  beforeAll(async () => {
    server = await startTlsPostgres();
    await setupDatabase({ adminUrl: server.url, writerUrl: writerUrl() });
    const url = new URL(server.url);
    url.pathname = "/seclog_tls";
    admin = new pg.Pool({ connectionString: url.href, max: 2 });
    // end() does not wait until the server has read the Terminate message, so its shutdown may still reach a
    // connection.
    admin.on("error", () => {});
    await admin.query("GRANT seclog_writer TO tls_client");
  });
  afterAll(async () => {
    await admin?.end();
    await server?.[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    sourceId = `01936d2f-5c00-7000-8000-${String(++nextSource).padStart(12, "0")}`;
  });
  afterEach(async () => {
    for (const handler of handlers) await handler.close();
    handlers = [];
  });

  describe("a certificate of the given authority", () => {
    it.each(["require", "verify-ca", "verify-full"])(
      "is trusted, and events are stored over TLS: sslmode=%s",
      async (sslmode) => {
        await store(create(writerUrl({ sslmode, sslrootcert: server.certificates.authority })));
        expect(await result()).toEqual({ stored: 1, tls: [true] });
      },
    );

    it("is trusted when the authority comes as an option, whatever the URL says", async () => {
      const tls = { ca: readFileSync(server.certificates.authority, "utf8") };
      await store(create(writerUrl({ sslmode: "disable" }), { tls }));
      expect(await result()).toEqual({ stored: 1, tls: [true] });
    });

    it("works with a client certificate instead of a password", async () => {
      const { cert: sslcert, key: sslkey } = server.certificates.client;
      const url = new URL(writerUrl({ sslrootcert: server.certificates.authority, sslcert, sslkey }));
      url.username = "tls_client";
      url.password = "";
      const handler = create(url.href);
      await Promise.all([store(handler), store(handler, 2)]);
      expect(await result()).toEqual({ stored: 2, tls: [true] });
    });
  });

  it.each([
    ["sslmode=disable", { sslmode: "disable" }, {}],
    ["tls: false", { sslmode: "verify-full" }, { tls: false }],
    ["the server on this machine, and neither", {}, {}],
  ] as const)("is not used when plain connections are configured: %s", async (_, parameters, options) => {
    await store(create(writerUrl(parameters), options));
    expect(await result()).toEqual({ stored: 1, tls: [false] });
  });

  describe("a certificate of another server", () => {
    afterEach(() => server.use("good"));

    const FAULTS: readonly [CertificateName, message: RegExp][] = [
      ["foreign", /unable to verify.*name its certificate authority.*sslrootcert=/],
      ["expired", /expired; renew/],
      ["otherName", /127\.0\.0\.1 is not in the cert's list.*; connect by a name/],
    ];
    const MODES = ["require", "verify-ca", "verify-full"];

    it.each(FAULTS)("%s: is refused before any authentication, in every mode", async (name, message) => {
      await server.use(name);
      for (const sslmode of MODES) {
        const before = server.log().length;
        const call = store(create(writerUrl({ sslmode, sslrootcert: server.certificates.authority })));
        await expect(call).rejects.toMatchObject({
          kind: "destination",
          code: "SECLOG_HANDLER_STOPPED",
          message: expect.stringMatching(message),
        });
        await expect.poll(() => server.log().slice(before)).toContain("connection received");
        expect(server.log().slice(before)).not.toMatch(/authenticat|authorized|user=writer_tls/);
      }
      expect(await result()).toEqual({ stored: 0, tls: [] });
    });

    it("is refused without an authority, since no public one has signed it", async () => {
      await expect(store(create(writerUrl({ sslmode: "require" })))).rejects.toMatchObject({
        kind: "destination",
        message: expect.stringMatching(/unable to verify|self-signed/),
      });
      await expect(store(create(writerUrl(), { tls: true }))).rejects.toMatchObject({ kind: "destination" });
    });

    it("delays events only until the server has a valid one", async () => {
      await server.use("expired");
      const log = createSecurityLog({
        spool: "memory",
        handlers: [create(writerUrl({ sslmode: "verify-full", sslrootcert: server.certificates.authority }))],
        service: sourceId,
        heartbeat: false,
        diagnostics: () => {},
      });
      for (let index = 0; index < 20; index++) log.recordSecurityEvent("authz_fail", null, { index });
      await expect.poll(() => log.health().handlers[0]?.lastError?.message).toContain("expired");
      await server.use("good");
      await log.close();
      const { rows } = await admin.query(
        "SELECT count(*)::int AS events FROM security_event_log WHERE service = $1 AND event_type = 'authz_fail'",
        [sourceId],
      );
      expect(rows).toEqual([{ events: 20 }]);
    });
  });

  describe("a man in the middle", () => {
    it("receives only the SSLRequest when claiming that the server has no TLS", async () => {
      await using interceptor = await listen((socket, receive) => {
        socket.on("data", (data) => {
          receive(data);
          socket.write("N");
        });
      });
      await expect(store(create(interceptor.url({ sslmode: "require" })))).rejects.toMatchObject({
        kind: "destination",
        message: expect.stringMatching(/does not support SSL connections; set ssl = on/),
      });
      expect(interceptor.received().toString("hex")).toBe("0000000804d2162f");
    });

    it("receives only the SSLRequest when asking for the password with another certificate", async () => {
      const { cert, key } = server.certificates.server("foreign");
      const pair = { cert: readFileSync(cert), key: readFileSync(key) };
      await using interceptor = await listen((socket, receive) => {
        socket.once("data", (data) => {
          receive(data);
          socket.write("S");
          const inside = new TLSSocket(socket, { isServer: true, ...pair });
          inside.on("error", () => {});
          inside.on("data", receive);
          // AuthenticationCleartextPassword, without waiting for the startup message.
          inside.write(Buffer.from("520000000800000003", "hex"));
        });
      });
      const call = store(create(interceptor.url({ sslmode: "require", sslrootcert: server.certificates.authority })));
      await expect(call).rejects.toMatchObject({ kind: "destination" });
      expect(interceptor.received().toString("hex")).toBe("0000000804d2162f");
    });

    it("receives only the SSLRequest when sending more than the reply to it", async () => {
      await using interceptor = await listen((socket, receive) => {
        socket.on("data", receive);
        socket.once("data", () => socket.write(Buffer.from("53520000000800000003", "hex")));
      });
      await expect(store(create(interceptor.url({ sslmode: "require" })))).rejects.toMatchObject({ kind: "retry" });
      expect(interceptor.received().toString("hex")).toBe("0000000804d2162f");
    });
  });

  describe("a file that is not a certificate or key", () => {
    let folder: string;
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), "seclog-test-pem-"));
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    it("is refused when the application starts, rather than trusting every public authority", () => {
      const { client, authority, server: pair } = server.certificates;
      const empty = join(folder, "empty.pem");
      writeFileSync(empty, "");
      const broken = join(folder, "broken.pem");
      writeFileSync(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
      for (const [parameters, named] of [
        [{ sslrootcert: empty }, "sslrootcert"],
        [{ sslrootcert: broken }, "sslrootcert"],
        [{ sslrootcert: join(folder, "none.pem") }, "sslrootcert"],
        [{ sslcert: empty, sslkey: client.key }, "sslcert"],
        [{ sslcert: client.cert }, "sslkey"],
        [{ sslkey: client.key }, "sslkey"],
        [{ sslrootcert: authority, sslcert: client.cert, sslkey: pair("good").key }, "sslkey"],
        [{ sslcert: client.cert, sslkey: empty }, "sslkey"],
      ] as const) {
        expect(() => postgresHandler({ url: writerUrl(parameters) }), JSON.stringify(parameters)).toThrow(
          expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringContaining(named) }),
        );
      }
      expect(() => postgresHandler({ url: writerUrl(), tls: { ca: "" } })).toThrow("ca");
    });
  });
});

function writerUrl(parameters: { readonly [name: string]: string } = {}): string {
  const url = new URL(server.url);
  url.username = "writer_tls";
  url.password = PASSWORD;
  url.pathname = "/seclog_tls";
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

function create(url: string, options: PostgresHandlerOptions = {}): SecurityEventHandler {
  const handler = postgresHandler({ url, ...options });
  handlers.push(handler);
  return handler;
}

function store(handler: SecurityEventHandler, firstSeq = 1): Promise<void> {
  return handler.handle(exampleBatch({ sourceId, firstSeq }), AbortSignal.timeout(20_000));
}

/** How many events the server has, and whether the connections that stored them are encrypted. */
async function result(): Promise<{ stored: number; tls: boolean[] }> {
  const stored = await admin.query<{ events: number }>(
    "SELECT count(*)::int AS events FROM security_event_log WHERE source_id = $1",
    [sourceId],
  );
  const connections = await admin.query<{ ssl: boolean }>(
    "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'seclog'",
  );
  return { stored: stored.rows[0]?.events ?? -1, tls: connections.rows.map(({ ssl }) => ssl) };
}

interface Interceptor extends AsyncDisposable {
  url(parameters: { readonly [name: string]: string }): string;
  /** All the bytes it received. */
  received(): Buffer;
}

async function listen(serve: (socket: Socket, receive: (data: Buffer) => void) => void): Promise<Interceptor> {
  const received: Buffer[] = [];
  const sockets: Socket[] = [];
  const listener = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    serve(socket, (data) => received.push(data));
  }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    url(parameters) {
      const url = new URL(writerUrl(parameters));
      url.port = String((listener.address() as AddressInfo).port);
      return url.href;
    },
    received: () => Buffer.concat(received),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, "close");
    },
  };
}
