import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { NatsEngine } from "#faults/engines/nats.js";
import { hasOpenssl, makeCertificates } from "#test/support/tls-postgres.ts";
import type { EventBatch, SecurityEventHandler } from "../ship/handler.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { decodeEnvelope } from "./envelope.ts";
import { natsHandler } from "./nats.ts";
import { natsNames } from "./nats-names.ts";
import { decodePosition, encodePosition, isPositionMessage } from "./position.ts";
import { parseQueueKey } from "./queue-options.ts";

const missing = NatsEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of natsHandler(): ${missing}`);

const KEY = randomBytes(32).toString("base64");
const keys = [parseQueueKey("test", KEY)];
const names = natsNames("seclog");

describe.skipIf(missing !== undefined)("natsHandler()", () => {
  let engine: NatsEngine;
  let connection: NatsConnection;
  let manager: JetStreamManager;
  const open: SecurityEventHandler[] = [];

  beforeAll(async () => {
    engine = await NatsEngine.start();
    connection = await connect({ servers: engine.url });
    manager = await jetstreamManager(connection);
  });
  beforeEach(async () => {
    for await (const { config } of manager.streams.list()) await manager.streams.delete(config.name);
  });
  afterEach(async () => {
    for (const handler of open.splice(0)) await handler.close();
  });
  afterAll(async () => {
    await connection?.close();
    await engine?.end();
  });

  function handler(options: Parameters<typeof natsHandler>[0] = {}): SecurityEventHandler {
    const made = natsHandler({ url: engine.url, queueKey: KEY, ...options });
    open.push(made);
    return made;
  }

  const send = (to: SecurityEventHandler, batch: EventBatch, ms = 20_000): Promise<void> =>
    to.handle(batch, AbortSignal.timeout(ms));

  /** What the stream has of a source: envelopes and questions, in order. */
  async function messages(sourceId: string): Promise<Buffer[]> {
    const found: Buffer[] = [];
    const state = await manager.streams.info(names.stream).then(
      (info) => info.state,
      () => ({ first_seq: 1, last_seq: 0 }),
    );
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(names.stream, { seq });
      if (message?.subject === names.events(sourceId)) found.push(Buffer.from(message.data));
    }
    return found;
  }

  const envelopes = async (sourceId: string): Promise<Buffer[]> =>
    (await messages(sourceId)).filter((bytes) => !isPositionMessage(bytes));

  async function answer(sourceId: string, seq: number, nonce = 0): Promise<void> {
    connection.publish(names.stored(sourceId), encodePosition({ kind: "stored", sourceId, seq, nonce }, keys));
    await connection.flush();
  }

  it("resolves when a worker has stored the batch, and not before", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 20 });
    let resolved = false;
    const done = send(handler(), batch).then(() => {
      resolved = true;
    });
    await expect.poll(() => messages(batch.source.id)).toHaveLength(1);
    const [bytes] = await messages(batch.source.id);
    expect(decodeEnvelope(bytes as Buffer, { keys })).toMatchObject({ firstSeq: 1, lastSeq: 20, queued: false });
    await answer(batch.source.id, 19);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(resolved).toBe(false);
    await answer(batch.source.id, 20);
    await done;
  });

  it("resolves when JetStream has it, with confirm: queued", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 3 });
    await send(handler({ confirm: "queued" }), batch);
    const [bytes] = await messages(batch.source.id);
    expect(decodeEnvelope(bytes as Buffer, { keys })).toMatchObject({ lastSeq: 3, queued: true });
  });

  it("creates a work queue on disk that refuses messages when it is full", async () => {
    await send(handler({ confirm: "queued" }), exampleBatch({ sourceId: randomUUID() }));
    const { config } = await manager.streams.info(names.stream);
    expect(config).toMatchObject({ retention: "workqueue", storage: "file", discard: "new", num_replicas: 1 });
    await manager.streams.update(names.stream, { max_msgs: 1 });
    const refused = send(handler({ confirm: "queued" }), exampleBatch({ sourceId: randomUUID() }));
    await expect(refused).rejects.toMatchObject({
      kind: "retry",
      message: expect.stringContaining("maximum messages"),
    });
  });

  it("calls a stream of another kind the operator's matter", async () => {
    await manager.streams.add({ name: names.stream, subjects: ["seclog.events.>"] });
    const refused = send(handler(), exampleBatch({ sourceId: randomUUID() }));
    await expect(refused).rejects.toMatchObject({
      kind: "destination",
      message: expect.stringMatching(
        /needs a stream seclog_events with "workqueue" and seclog.events.0.\* to seclog.events.15.\*, but it has retention "limits"/,
      ),
    });
  });

  it("does not believe an answer without the queue key", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 2 });
    const sourceId = batch.source.id;
    const done = send(handler({ storedTimeout: 1_500 }), batch);
    const unanswered = expect(done).rejects.toMatchObject({ code: "SECLOG_QUEUE_UNANSWERED", stored: 0 });
    await expect.poll(() => messages(sourceId)).toHaveLength(1);
    for (const forged of [[], [parseQueueKey("test", randomBytes(32).toString("hex"))]]) {
      connection.publish(
        names.stored(sourceId),
        encodePosition({ kind: "stored", sourceId, seq: 2, nonce: 0 }, forged),
      );
    }
    await connection.flush();
    await unanswered;
  });

  it("asks when nothing moves, and sends again what an answer shows to be lost after a purge", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 10 });
    const sourceId = batch.source.id;
    const sender = handler();
    const done = send(sender, batch);
    const lost = expect(done).rejects.toMatchObject({ kind: "retry", code: "SECLOG_QUEUE_LOST", stored: 0 });
    await expect.poll(() => messages(sourceId)).toHaveLength(1);
    await manager.streams.purge(names.stream);
    await expect.poll(async () => (await messages(sourceId)).some(isPositionMessage), { timeout: 5_000 }).toBe(true);
    const [question] = await messages(sourceId);
    const { nonce, kind } = decodePosition(question as Buffer, keys);
    expect(kind).toBe("asked");
    await answer(sourceId, 0, nonce);
    await lost;

    // The same events in the same envelope: with a message id, JetStream would acknowledge and drop it.
    const again = send(sender, batch);
    await expect.poll(() => envelopes(sourceId)).toHaveLength(1);
    await answer(sourceId, 10);
    await again;
  });

  it("could not use message ids: JetStream drops what is sent again after a purge", async () => {
    await send(handler({ confirm: "queued" }), exampleBatch({ sourceId: randomUUID() }));
    const js = jetstream(connection);
    await js.publish(names.events("a"), "x", { msgID: "1" });
    await manager.streams.purge(names.stream);
    expect(await js.publish(names.events("a"), "x", { msgID: "1" })).toMatchObject({ duplicate: true });
    expect((await manager.streams.info(names.stream)).state.messages).toBe(0);
  });

  it("makes the stream again when it is deleted", async () => {
    const sender = handler({ confirm: "queued" });
    const sourceId = randomUUID();
    await send(sender, exampleBatch({ sourceId, count: 2 }));
    await manager.streams.delete(names.stream);
    await send(sender, exampleBatch({ sourceId, firstSeq: 3, count: 2 }));
    expect(await envelopes(sourceId)).toHaveLength(1);
  });

  it("resumes on its own after NATS was restarted", async () => {
    const sender = handler({ confirm: "queued" });
    const sourceId = randomUUID();
    await send(sender, exampleBatch({ sourceId, count: 2 }));
    await engine.kill();
    await expect(send(sender, exampleBatch({ sourceId, firstSeq: 3, count: 2 }))).rejects.toMatchObject({
      kind: "retry",
    });
    await engine.up();
    await expect
      .poll(() => send(sender, exampleBatch({ sourceId, firstSeq: 3, count: 2 })).then(() => "sent", String), {
        timeout: 20_000,
      })
      .toBe("sent");
    await connection.close();
    connection = await connect({ servers: engine.url });
    manager = await jetstreamManager(connection);
    expect((await envelopes(sourceId)).length).toBeGreaterThanOrEqual(2);
  });

  it("sends nothing twice while workers are away", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 10 });
    const sender = handler({ storedTimeout: 200 });
    for (let attempt = 0; attempt < 3; attempt++) {
      await expect(send(sender, batch)).rejects.toMatchObject({ code: "SECLOG_QUEUE_UNANSWERED" });
    }
    expect(await envelopes(batch.source.id)).toHaveLength(1);
  });

  it("takes the application's own connection, and leaves it open", async () => {
    const own = await connect({ servers: engine.url });
    try {
      const batch = exampleBatch({ sourceId: randomUUID(), count: 5 });
      const sender = handler({ client: own, url: undefined });
      expect(sender.worker).toBeUndefined();
      const done = send(sender, batch);
      await expect.poll(() => messages(batch.source.id)).toHaveLength(1);
      await answer(batch.source.id, 5);
      await done;
      await sender.close();
      await own.flush();
      expect(own.isClosed()).toBe(false);
    } finally {
      await own.close();
    }
  });

  it("warns of a stream that may lose queued events", async () => {
    const warnings: string[] = [];
    const note = (warning: Error): void => void warnings.push(warning.message);
    process.on("warning", note);
    try {
      const queue = `w${randomBytes(4).toString("hex")}`;
      await send(handler({ confirm: "queued", queue }), exampleBatch({ sourceId: randomUUID() }));
      const memory = { name: `${queue}m_events`, subjects: [`${queue}m.events.>`] };
      await manager.streams.add({ ...memory, retention: "workqueue", storage: "memory", max_age: 3_600_000_000_000 });
      await send(handler({ confirm: "queued", queue: `${queue}m` }), exampleBatch({ sourceId: randomUUID() }));
      await expect.poll(() => warnings.filter((text) => text.includes(queue))).toHaveLength(3);
      expect(warnings.join("\n")).toMatch(/one replica.+sync_interval[\s\S]+kept in memory[\s\S]+max_age/);
    } finally {
      process.off("warning", note);
    }
  });

  it("refuses options that would not work", () => {
    expect(() => natsHandler({ url: "http://127.0.0.1" })).toThrow(/url must begin with nats:/);
    expect(() => natsHandler({ url: "nats://", queueKey: KEY })).toThrow(/must be nats:\/\/host:4222/);
    expect(() => natsHandler({ url: "nats://h:4222?tls_ca=x", queueKey: KEY })).toThrow(/"tls_ca"/);
    expect(() => natsHandler({ url: "nats://h:4222?ca=x", queueKey: KEY })).toThrow(/begin it with tls:/);
    expect(() => natsHandler({ client: {} as never, queueKey: KEY })).toThrow(/is not a connection to NATS/);
  });
});

describe.skipIf(missing !== undefined)("natsHandler() - with users", () => {
  const PERMISSIONS = { publish: ["seclog.events.>"], subscribe: ["seclog.stored.*", "_INBOX.>"] };
  let engine: NatsEngine;

  beforeAll(async () => {
    const users = [
      { user: "admin", password: "admin-4711" },
      { user: "app", password: "sesame-4711", permissions: PERMISSIONS },
      { user: "other", password: "other-4711", permissions: { publish: ["other.>"], subscribe: ["_INBOX.>"] } },
    ];
    engine = await NatsEngine.start({ authorization: { users } });
    const admin = await connect({ servers: engine.url, user: "admin", pass: "admin-4711" });
    const { streams } = await jetstreamManager(admin);
    await streams.add({ name: names.stream, subjects: ["seclog.events.>"], retention: "workqueue" });
    await admin.close();
  });
  afterAll(() => engine?.end());

  const url = (user: string): string => engine.url.replace("://", `://${user}@`);

  it("needs no more than to publish events, and to subscribe to positions", async () => {
    const sender = natsHandler({ url: url("app:sesame-4711"), queueKey: KEY, confirm: "queued" });
    await sender.handle(exampleBatch({ sourceId: randomUUID() }), AbortSignal.timeout(20_000));
    await sender.close();
  });

  it.each(["app:wrong-0815", "other:other-4711"])(
    "calls a refused user the operator's matter, and never repeats a password (%s)",
    async (user) => {
      const sender = natsHandler({ url: url(user), queueKey: KEY });
      const failure = await sender
        .handle(exampleBatch({ sourceId: randomUUID() }), AbortSignal.timeout(20_000))
        .catch((error: unknown) => error);
      expect(failure).toMatchObject({ kind: "destination" });
      expect(String(failure)).not.toMatch(/0815|4711/);
      await sender.close();
    },
  );

  it("refuses a server without TLS, before it sends the password", async () => {
    const sender = natsHandler({ url: url("app:sesame-4711").replace("nats:", "tls:"), queueKey: KEY });
    const failure = sender.handle(exampleBatch({ sourceId: randomUUID() }), AbortSignal.timeout(20_000));
    await expect(failure).rejects.toThrow(/does not support 'tls'/);
    await sender.close();
  });
});

describe.skipIf(missing !== undefined || !hasOpenssl)("natsHandler() - over TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "seclog-nats-tls-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ["good", "127.0.0.1"],
    ["otherName", "localhost"],
  ] as const)("verifies the server, and shows its own certificate (%s, %s)", async (name, host) => {
    const { authority, foreignAuthority, server, client } = makeCertificates(folder);
    const { cert, key } = server(name);
    const tls = { cert_file: cert, key_file: key, ca_file: authority, verify: true };
    const engine = await NatsEngine.start({ tls });
    try {
      const send = async (query: string, to: string = host): Promise<void> => {
        const url = `tls://${to}:${engine.port}?${query}`;
        const sender = natsHandler({ url, queueKey: KEY, confirm: "queued" });
        await sender
          .handle(exampleBatch({ sourceId: randomUUID() }), AbortSignal.timeout(20_000))
          .finally(() => sender.close());
      };
      const own = `cert=${client.cert}&key=${client.key}`;
      await send(`ca=${authority}&${own}`);
      await expect(send(`ca=${foreignAuthority}&${own}`)).rejects.toThrow(/certificate/);
      await expect(send(own)).rejects.toThrow(/certificate/);
      const wrong = host === "localhost" ? "127.0.0.1" : "localhost";
      await expect(send(`ca=${authority}&${own}`, wrong)).rejects.toThrow(/does not match certificate/);
    } finally {
      await engine.end();
    }
  });
});
