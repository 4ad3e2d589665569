/** The operations behind the commands, called without a command, as an HTTP route would. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readVkey, verifyProof } from "@seclog/verify";
import { parseVkey } from "seclog/merkle";
import { postgresHandler } from "seclog/postgres";
import { exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newKey } from "#test/support/naive-sealer.ts";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { sealLog, TEST_SIGNER } from "#test/support/seal-log.ts";
import { Session } from "../database/session.ts";
import { leafOf, numbersOfLeaves } from "./leaf-ranges.ts";
import { proveEvent } from "./prove.ts";
import { filePublisher } from "./publish/file.ts";
import { rotateKey } from "./rotate-key.ts";
import { NoSealerState } from "./seal/state.ts";
import { sealAndPublish } from "./seal-and-publish.ts";
import { serveTiles } from "./tiles/serve.ts";
import { verifyStoredLog } from "./verify-stored-log.ts";
import { serveWitness } from "./witness/serve.ts";

let database: TestDatabase;
let folder: string;
const batch = exampleBatch({ count: 20 });
const source = batch.source.id;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "seclog-operations-"));
  database = await createTestDatabase();
  const handler = postgresHandler({ url: database.writerUrl });
  await handler.handle(batch, AbortSignal.timeout(20_000));
  await handler.close();
  await sealLog(database);
});

afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const open = () => Session.open({ role: "reader", url: database.readerUrl, purpose: "test", access: "READ ONLY" });

describe("proveEvent()", () => {
  it("returns a proof that the verifier accepts, and refuses an event that is not in the log", async () => {
    const session = await open();
    try {
      const url = database.readerUrl;
      const [row] = await database.query<{ id: string }>("SELECT id FROM security_event_log WHERE seq = 17");
      const id = row?.id ?? "";
      const keys = [readVkey(TEST_SIGNER.vkey)];
      const { proof, ...facts } = await proveEvent({ url, id: id.toUpperCase() });
      const proven = verifyProof(proof, keys);
      expect(proven.core).toMatchObject({ seq: 17, source_id: source });
      expect(proven.index).toBe(await leafOf(session, source, "17"));
      expect(facts).toEqual({ id, index: proven.index, size: 21, redacted: false });
      const redacted = await proveEvent({ url, id, redact: true });
      expect(redacted.redacted).toBe(true);
      expect(verifyProof(redacted.proof, keys)).not.toHaveProperty("personal");
      await expect(proveEvent({ url: "nowhere", id: "17" })).rejects.toMatchObject({ code: "SECLOG_CONFIG" });
      const stranger = "01936d2f-0000-7000-8000-000000000000";
      await expect(proveEvent({ url, id: stranger })).rejects.toMatchObject({ code: "SECLOG_PROOF" });
      const refused = proveEvent({ url: url.replace(/:[^:@]+@/, ":wrong@"), id });
      await expect(refused).rejects.toMatchObject({ code: "SECLOG_DATABASE" });
    } finally {
      await session.end();
    }
  });
});

describe("numbersOfLeaves()", () => {
  it("returns the numbers of leaves in the middle of a range", async () => {
    const session = await open();
    try {
      const first = (await leafOf(session, source, "5")) ?? -1;
      expect(await numbersOfLeaves(session, first, 3)).toEqual([{ sourceId: source, first: 5, last: 7 }]);
      expect(await leafOf(session, source, "21")).toBeUndefined();
    } finally {
      await session.end();
    }
  });
});

describe("verifyStoredLog()", () => {
  it("verifies a database, and the export of it, and refuses to verify without a key", async () => {
    const keys = [readVkey(TEST_SIGNER.vkey)];
    const url = database.readerUrl;
    const exported = join(folder, "export");
    const report = await verifyStoredLog({ source: { url }, writeExport: exported, keys });
    expect(report).toMatchObject({ intact: true, size: 21 });
    expect(await verifyStoredLog({ source: { folder: exported }, keys })).toEqual(report);
    for (const source of [{ url }, { folder: exported }, { folder: join(folder, "none") }]) {
      await expect(verifyStoredLog({ source, keys: [] })).rejects.toMatchObject({ code: "SECLOG_CONFIG" });
    }
    const refused = verifyStoredLog({ source: { url: url.replace(/:[^:@]+@/, ":wrong@") }, keys });
    await expect(refused).rejects.toMatchObject({ code: "SECLOG_DATABASE" });
  });
});

describe("sealAndPublish()", () => {
  it("publishes what it sealed before it returns", async () => {
    const handler = postgresHandler({ url: database.writerUrl });
    await handler.handle(
      exampleBatch({ count: 5, sourceId: "01936d2f-5c00-7000-8000-00000000000b" }),
      AbortSignal.timeout(20_000),
    );
    await handler.close();
    const file = join(folder, "checkpoints");
    const failures: Error[] = [];
    await sealAndPublish({
      url: database.sealerUrl,
      signer: TEST_SIGNER,
      state: new NoSealerState(),
      intervalMs: 10,
      once: true,
      signal: AbortSignal.timeout(60_000),
      publishers: [filePublisher(file)],
      everyMs: 10_000,
      onSealed: () => {},
      onNotPublished: (error) => failures.push(error),
    });
    expect(failures).toEqual([]);
    expect(readFileSync(file, "utf8")).toMatch(new RegExp(`^${TEST_SIGNER.name}\\n26\\n`));
  });
});

describe("serveTiles() and serveWitness()", () => {
  const listen = { host: "127.0.0.1", port: 0 };
  const onError = (error: unknown) => expect.fail(String(error));

  it("serves the newest checkpoint until it is closed", async () => {
    const service = await serveTiles({ url: database.readerUrl, listen, entries: false, onError });
    try {
      expect(await (await fetch(`${service.url}/checkpoint`)).text()).toContain(TEST_SIGNER.name);
    } finally {
      await service.close();
    }
    await expect(fetch(service.url)).rejects.toThrow();
  });

  it("refuses a log's key as the witness's, the witness's name for a log, and a folder in use", async () => {
    const directory = join(folder, "witness");
    const signer = newKey("w.example", "cosignature");
    const common = { directory, listen, onError, onInconsistent: () => {} };
    const log = parseVkey(TEST_SIGNER.vkey);
    await expect(serveWitness({ ...common, signer: TEST_SIGNER, logs: [log] })).rejects.toMatchObject({
      code: "SECLOG_KEY",
    });
    const namesake = parseVkey(newKey("w.example").vkey);
    await expect(serveWitness({ ...common, signer, logs: [namesake] })).rejects.toThrow("the witness's own name");
    const service = await serveWitness({ ...common, signer, logs: [log] });
    await expect(serveWitness({ ...common, signer, logs: [log] })).rejects.toThrow("is in use by process");
    await service.close();
    await (await serveWitness({ ...common, signer, logs: [log] })).close();
  });
});

describe("rotateKey()", () => {
  it("has both keys sign the newest checkpoint, and refuses a key that does not seal", async () => {
    const options = { url: database.sealerUrl, retiring: TEST_SIGNER, file: join(folder, "next.key") };
    const { vkey, size } = await rotateKey(options);
    const signatures = await database.query<{ name: string }>(
      "SELECT name FROM security_event_signature WHERE size = (SELECT max(size) FROM security_event_checkpoint)",
    );
    expect([signatures.length, vkey.startsWith(`${TEST_SIGNER.name}+`), size]).toEqual([2, true, 26]);
    await expect(rotateKey(options)).rejects.toMatchObject({ code: "SECLOG_KEY" });
    const refused = rotateKey({ ...options, url: options.url.replace(/:[^:@]+@/, ":wrong@") });
    await expect(refused).rejects.toMatchObject({ code: "SECLOG_DATABASE" });
  });
});
