/** The operations behind `seclog prove` and `seclog keys rotate`, called without a command, as an HTTP route would. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readVkey, verifyProof } from "@seclog/verify";
import { postgresHandler } from "seclog/postgres";
import { exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { sealLog, TEST_SIGNER } from "#test/support/seal-log.ts";
import { Session, SessionPool } from "../database/session.ts";
import { leafOf, numbersOfLeaves } from "./leaf-ranges.ts";
import { proveEvent } from "./prove.ts";
import { rotateKey } from "./rotate-key.ts";

let database: TestDatabase;
let folder: string;
const batch = exampleBatch({ count: 20 });
const source = batch.source.id;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "seclog-deeds-"));
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
      const [row] = await database.query<{ id: string }>("SELECT id FROM security_event_log WHERE seq = 17");
      const keys = [readVkey(TEST_SIGNER.vkey)];
      const proven = verifyProof(await proveEvent(session, row?.id ?? ""), keys);
      expect(proven.core).toMatchObject({ seq: 17, source_id: source });
      expect(proven.index).toBe(await leafOf(session, source, "17"));
      expect(verifyProof(await proveEvent(session, row?.id ?? "", { redact: true }), keys)).not.toHaveProperty(
        "personal",
      );
      await expect(proveEvent(session, "17")).rejects.toMatchObject({ code: "SECLOG_CONFIG" });
      const stranger = "01936d2f-0000-7000-8000-000000000000";
      await expect(proveEvent(session, stranger)).rejects.toMatchObject({ code: "SECLOG_PROOF" });
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

describe("rotateKey()", () => {
  it("has both keys sign the newest checkpoint, and refuses a key that does not seal", async () => {
    const pool = new SessionPool({ role: "sealer", url: database.sealerUrl, purpose: "test", access: "READ WRITE" }, 1);
    try {
      const { vkey, size } = await rotateKey(pool, TEST_SIGNER, join(folder, "next.key"));
      const signatures = await database.query<{ name: string }>(
        "SELECT name FROM security_event_signature WHERE size = (SELECT max(size) FROM security_event_checkpoint)",
      );
      expect([signatures.length, vkey.startsWith(`${TEST_SIGNER.name}+`), size]).toEqual([2, true, 21]);
      await expect(rotateKey(pool, TEST_SIGNER, join(folder, "next.key"))).rejects.toMatchObject({
        code: "SECLOG_KEY",
      });
    } finally {
      await pool.end();
    }
  });
});
