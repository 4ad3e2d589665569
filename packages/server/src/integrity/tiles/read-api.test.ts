import pg from "pg";
import { formatPrivateKey, leafHash, levelWidth, parsePrivateKey, treeRoot } from "seclog/merkle";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import {
  addEvents,
  addQuarantined,
  addSource,
  type SealedCheckpoint,
  sealAll,
  seed,
} from "#test/support/sealed-tree.ts";
import type { HttpResponse } from "../../http/service.ts";
import { ReadApi } from "./read-api.ts";

const log = parsePrivateKey(formatPrivateKey("log.example/shop", seed()));
let database: TestDatabase;
let pool: pg.Pool;
let api: ReadApi;
const errors: string[] = [];
const checkpoints: SealedCheckpoint[] = [];
const entries: string[] = [];
const sources: string[] = [];

/** Two alternating sources, with a hole, a record in quarantine, and ranges that begin and end inside bundles. */
beforeAll(async () => {
  database = await createTestDatabase();
  const options = "-c timezone=UTC -c datestyle=ISO -c bytea_output=hex";
  pool = new pg.Pool({ connectionString: database.readerUrl, max: 2, options });
  api = new ReadApi({ pool, entries: true, onError: (error) => errors.push(String(error)) });
  sources.push(await addSource(database), await addSource(database));
  const [one = "", two = ""] = sources;
  const seal = async (): Promise<void> => {
    const { entries: added, ...checkpoint } = await sealAll(database, log);
    checkpoints.push(checkpoint);
    entries.push(...added);
  };
  await addEvents(database, one, 5);
  await addQuarantined(database, one);
  await addEvents(database, two, 20);
  await seal();
  await addEvents(database, two, 240, 2);
  await addEvents(database, one, 3);
  await seal();
  await addEvents(database, one, 300);
  await addQuarantined(database, two);
  await seal();
});
afterAll(async () => {
  await pool.end();
  await database[Symbol.asyncDispose]();
});

const get = async (path: string, method = "GET"): Promise<HttpResponse> =>
  await api.respond({ method, path, body: Buffer.alloc(0) });
const size = (): number => checkpoints.at(-1)?.size ?? 0;
const name = (index: number, width: number): string =>
  `${String(index).padStart(3, "0")}${width === 256 ? "" : `.p/${width}`}`;

function split(bundle: Uint8Array): string[] {
  const bytes = Buffer.from(bundle);
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt16BE(at);
    found.push(bytes.subarray(at + 2, at + 2 + length).toString());
    at += 2 + length;
  }
  return found;
}

describe("ReadApi", () => {
  it("serves the newest checkpoint", async () => {
    expect(await get("/checkpoint")).toMatchObject({ status: 200, body: checkpoints.at(-1)?.note });
  });

  it("serves the tiles of every signed size, which yield its root", async () => {
    expect(checkpoints.length).toBe(3);
    for (const { size, root } of checkpoints) {
      const made = await treeRoot(
        size,
        async (names) =>
          await Promise.all(
            names.map(async ({ level, index, width }) => {
              const { status, body, headers } = await get(`/tile/${level}/${name(index, width)}`);
              expect(status).toBe(200);
              expect(body).toHaveLength(width * 32);
              expect(headers).toEqual({
                "content-type": "application/octet-stream",
                "cache-control": "public, max-age=31536000, immutable",
              });
              return body as Uint8Array;
            }),
          ),
      );
      expect(made).toEqual(root);
    }
  });

  it("serves every entry, whose hash is the leaf", async () => {
    expect(entries).toHaveLength(size());
    for (let index = 0; index * 256 < size(); index++) {
      const width = Math.min(256, size() - index * 256);
      const { status, body, headers } = await get(`/tile/entries/${name(index, width)}`);
      expect(status, String(errors)).toBe(200);
      expect(headers?.["cache-control"]).toBe("private, max-age=31536000, immutable");
      const served = split(body as Uint8Array);
      expect(served).toEqual(entries.slice(index * 256, index * 256 + width));
      const tile = await get(`/tile/0/${name(index, width)}`);
      expect(Buffer.concat(served.map((entry) => leafHash(entry)))).toEqual(Buffer.from(tile.body as Uint8Array));
    }
    expect(entries.some((entry) => entry.startsWith('{"missing":true'))).toBe(true);
    expect(entries.some((entry) => entry.includes('"quarantined":true'))).toBe(true);
    expect(entries.join()).not.toContain("actor_id");
    for (const width of [1, 5, 7, 100, 255]) {
      expect(split((await get(`/tile/entries/${name(1, width)}`)).body as Uint8Array)).toEqual(
        entries.slice(256, 256 + width),
      );
    }
  });

  it("serves nothing beyond the newest checkpoint, not even hashes in the stored tile", async () => {
    const last = Math.floor(size() / 256);
    expect((await get(`/tile/0/${name(last, size() % 256)}`)).status).toBe(200);
    for (const path of [
      `/tile/0/${name(last, (size() % 256) + 1)}`,
      `/tile/0/${name(last, 256)}`,
      `/tile/0/${name(last + 1, 1)}`,
      `/tile/1/${name(0, levelWidth(1, size()) + 1)}`,
      "/tile/2/000.p/1",
      "/tile/63/000",
      `/tile/entries/${name(last, 256)}`,
    ]) {
      expect((await get(path)).status, path).toBe(404);
    }
    // An attacker has written hashes that no key signed.
    const client = new pg.Client({ connectionString: database.adminUrl });
    await client.connect();
    await client.query("BEGIN");
    await client.query("SELECT set_config('seclog.maintenance', 'on', true)");
    await client.query("SET LOCAL session_replication_role = replica");
    await client.query("UPDATE security_event_tile SET hashes = hashes || $1 WHERE level = 0 AND tile = $2", [
      Buffer.alloc(32, 7),
      last,
    ]);
    await client.query("COMMIT");
    await client.end();
    expect((await get(`/tile/0/${name(last, (size() % 256) + 1)}`)).status).toBe(404);
    expect((await get(`/tile/0/${name(last, size() % 256)}`)).body).toHaveLength((size() % 256) * 32);
  });

  it.each([
    "/",
    "/checkpoint/",
    "/checkpoint?x=1",
    "//checkpoint",
    "/tile/0/0",
    "/tile/0/000/",
    "/tile/00/000",
    "/tile/0/000.p/0",
    "/tile/0/000.p/256",
    "/tile/0/000.p/01",
    "/tile/0/x000/000",
    "/tile/0/%30%30%30",
    "/tile/0/../0/000",
    "/tile/64/000",
    "/tile/-1/000",
    "/tile/0/x999/x999/x999/x999/x999/999",
    "/tile/0/000'--",
    "/tile/entries/0/000",
    "/tile/entries/",
    "/tile/entries/../0/000",
    "tile/0/000",
    "xtile/0/000",
    "",
  ])("responds to %j with 404", async (path) => {
    expect((await get(path)).status).toBe(404);
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS", "get", ""])("refuses %j", async (method) => {
    const response = await get("/checkpoint", method);
    expect(response).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
  });

  it("serves entries only if configured", async () => {
    const closed = new ReadApi({ pool, entries: false, onError: () => {} });
    expect((await closed.respond({ method: "GET", path: "/tile/entries/000", body: Buffer.alloc(0) })).status).toBe(
      404,
    );
    expect((await closed.respond({ method: "GET", path: "/tile/0/000", body: Buffer.alloc(0) })).status).toBe(200);
  });

  it("serves the sealed row if others claim its number", async () => {
    const [one = ""] = sources;
    for (const shift of ["-1 day", "1 day"]) {
      await database.query(
        `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
          SELECT gen_random_uuid(), occurred_at + $2::interval, 'x', 'info', 'x', 'success', 'security', source_id, 1, seq, 1, ''
          FROM security_event_log WHERE source_id = $1 AND seq = 1 AND host IS NOT NULL`,
        [one, shift],
      );
    }
    await addRowFor(one, 6);
    const { status, body } = await get("/tile/entries/000");
    expect(status, String(errors)).toBe(200);
    expect(split(body as Uint8Array)).toEqual(entries.slice(0, 256));
  });

  it("reports an altered entry without naming it", async () => {
    const [one = ""] = sources;
    await tamper("UPDATE security_event_log SET host = 'elsewhere' WHERE source_id = $1 AND seq = 2", one);
    errors.length = 0;
    expect(await get("/tile/entries/000")).toMatchObject({
      status: 500,
      body: "the stored log differs from what was sealed\n",
    });
    expect(errors.join()).toContain(`number 2 of source ${one} differs from what was sealed`);
    await tamper("UPDATE security_event_log SET host = 'h\u00f6st' WHERE source_id = $1 AND seq = 2", one);
    expect((await get("/tile/entries/000")).status).toBe(200);
  });

  it("serves bundles after an erasure, and none with pruned entries", async () => {
    const [one = "", two = ""] = sources;
    await database.query("SELECT seclog_erase('u1', NULL, NULL, NULL, NULL, NULL, 'asked', false)");
    expect((await get("/tile/entries/000")).status).toBe(200);
    await tamper("DELETE FROM security_event_log WHERE source_id = $1 AND seq BETWEEN 2 AND 3", one);
    await database.query(
      "INSERT INTO security_event_removed VALUES (99, 'pruned', $1, '{[2,4)}'), (99, 'erased', $2, '{[1,5)}')",
      [one, two],
    );
    expect(await get("/tile/entries/000")).toMatchObject({ status: 404, body: "pruned\n" });
    expect((await get("/tile/entries/001")).status).toBe(200);
    expect((await get("/tile/0/000")).status).toBe(200);
    // An erasure does not explain a missing row.
    await tamper("DELETE FROM security_event_log WHERE source_id = $1 AND seq = 3", two);
    expect((await get("/tile/entries/000")).status).toBe(500);
  });

  it("responds with a bare 503 if the database is unavailable", async () => {
    const url = new URL(database.readerUrl);
    url.password = "wrong";
    const broken = new pg.Pool({ connectionString: url.href });
    const reported: string[] = [];
    const offline = new ReadApi({ pool: broken, entries: true, onError: (error) => reported.push(String(error)) });
    for (const path of ["/checkpoint", "/tile/0/000", "/tile/entries/000"]) {
      expect(await offline.respond({ method: "GET", path, body: Buffer.alloc(0) })).toMatchObject({
        status: 503,
        body: "the database is unavailable\n",
      });
    }
    expect(reported.join()).toContain("SECLOG_READER_URL");
    await broken.end();
  });

  it("has no checkpoint of a log that was never sealed", async () => {
    await using empty = await createTestDatabase();
    const emptyPool = new pg.Pool({ connectionString: empty.readerUrl });
    const fresh = new ReadApi({ pool: emptyPool, entries: true, onError: () => {} });
    for (const path of ["/checkpoint", "/tile/0/000.p/1", "/tile/entries/000.p/1"]) {
      expect((await fresh.respond({ method: "GET", path, body: Buffer.alloc(0) })).status).toBe(404);
    }
    await emptyPool.end();
  });
});

async function addRowFor(source: string, seq: number): Promise<void> {
  await database.query(
    `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
      VALUES (gen_random_uuid(), now(), 'x', 'info', 'x', 'success', 'security', $1, 1, $2, 1, '')`,
    [source, seq],
  );
}

/** Changes rows past the triggers, as only a superuser can. */
async function tamper(statement: string, source: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.adminUrl });
  await client.connect();
  try {
    await client.query("SET session_replication_role = replica");
    await client.query(statement, [source]);
  } finally {
    await client.end();
  }
}
