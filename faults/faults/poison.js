/** Events that the store can never take, among events that it can. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { postgresHandler } from "seclog/postgres";
import { drainSpool } from "seclog/spool";
import { NOWHERE } from "../world.js";
import { keyOf } from "./spool.js";

const replaced = (from, to) => (payload) => {
  const text = payload.toString("latin1");
  if (!from.test(text)) throw new Error(`no ${from} in ${text}`);
  return Buffer.from(text.replace(from, to), "latin1");
};

/**
 * Payloads that are not an event, or not one that the table can hold, made from one that is. The handler detects the
 * first ones, only PostgreSQL the last ones.
 */
const POISONS = {
  "nothing at all": () => Buffer.alloc(0),
  "no event": () => Buffer.from("once upon a time"),
  "half an event": (payload) => payload.subarray(0, payload.length >> 1),
  "bytes that are not UTF-8": replaced(/"text":"/, '"text":"\xff\xc0\x80'),
  "a NUL": replaced(/"text":"/, '"text":"\0'),
  "an escaped NUL in a column": replaced(/"actor_id":"/, '"actor_id":"\\u0000'),
  "the number of another event": replaced(/"seq":\d+/, '"seq":7'),
  "another source": replaced(/("source_id":")[0-9a-f]{8}/, "$100000000"),
  "another program's member": replaced(/"event_type":/, '"evil":1,"event_type":'),
  "no such date": replaced(/("occurred_at":")\d{4}-\d\d-\d\d/, "$10000-13-32"),
  "no such level": replaced(/"level":"\w+"/, '"level":"loud"'),
  "data that is not JSON": replaced(/"data":\{/, '"data":{!'),
  "JSON deeper than the server's stack": replaced(
    /"data":\{/,
    `"data":{"deep":${"[".repeat(60_000)}${"]".repeat(60_000)},`,
  ),
};

/** A source has its `log_started` and 1,999 events, which are two batches of 1,000; the poison is in the second. */
const EVENTS = 1_999;
const PLACES = { first: 1_001, middle: 1_500, last: 2_000 };

export const POISON_FAULTS = [
  {
    number: 21,
    name: "a poison event in a batch of 1,000",
    runs: { full: 26, short: 2 },
    async run({ runs, world: create, finish, ran, expect, note }) {
      const world = await create();
      let total = 0;
      const damaged = [];
      /** An application without a PostgreSQL, so that all its events are in the spool when it ends. */
      const backlog = async (poisoned) => {
        const known = new Set(world.sources);
        const app = await world.startApp({ count: EVENTS, perTurn: 100, inFlight: EVENTS }, { url: NOWHERE });
        await app.done();
        await app.kill();
        const source = world.sources.find((id) => !known.has(id));
        rewrite(join(world.spool, source, "00000001.seg"), poisoned);
        total += poisoned.size;
        for (const [seq, { key }] of poisoned) damaged.push({ place: `${source}/${seq}`, key });
        return source;
      };
      /** What the store must hold of a source with these poisoned events. */
      const expectStored = async (source, poisoned, what) => {
        const [row] = await world.query(
          `SELECT last_seq::int AS last, (SELECT count(*)::int FROM security_event_log e WHERE e.source_id = s.id) AS rows
           FROM security_event_source s WHERE id = $1`,
          [source],
        );
        const quarantine = await world.query(
          "SELECT seq::int, reason, record FROM security_event_quarantine WHERE source_id = $1 ORDER BY seq",
          [source],
        );
        const found = JSON.stringify(quarantine.map(({ seq }) => seq));
        const wanted = [...poisoned.keys()].sort((a, b) => a - b);
        expect(row?.last === EVENTS + 1, `${what}: the position is ${row?.last}`);
        expect(row?.rows === EVENTS + 1 - poisoned.size, `${what}: ${row?.rows} rows`);
        expect(found === JSON.stringify(wanted), `${what}: in quarantine are ${found}, not ${wanted}`);
        expect(
          quarantine.every(({ reason }) => reason.length > 10),
          `${what}: no reason`,
        );
        // The bytes as they were found, for an operator to examine.
        expect(
          quarantine.every(({ seq, record }) => poisoned.get(seq)?.bytes.equals(record)),
          `${what}: the bytes in quarantine are not the event's`,
        );
        return quarantine.map(({ reason }) => reason);
      };

      const kinds = Object.keys(POISONS);
      const reasons = new Map();
      for (let run = 0; run < runs; run++) {
        const kind = kinds[run % kinds.length];
        const [place, seq] = Object.entries(PLACES)[run % 3];
        const poisoned = new Map([[seq, { kind }]]);
        const source = await backlog(poisoned);
        await WAYS[run % 2](world, source, poisoned, expect);
        reasons.set(kind, (await expectStored(source, poisoned, `${kind}, ${place} of the batch`))[0]);
        ran();
      }

      // All of them, and the first again, in one batch, shipped by a living application with events of its own.
      const many = new Map(kinds.map((kind, index) => [1_001 + index * 83, { kind }]));
      const source = await backlog(many);
      const app = await world.startApp({ handler: { batchSize: 1_000 }, pause: 20 });
      const { health } = await app.until(({ health: of }) => of?.handlers[0].quarantined === many.size);
      expect(health.status === "ok", `the application's health is ${health.status} after a quarantine`);
      const state = await app.until(({ failures }) => failures.SECLOG_EVENT_REJECTED > 0);
      expect(state.refused === 0, `${state.refused} events of the living application were refused`);
      for (const reason of await expectStored(source, many, `${many.size} in one batch`))
        expect(reason !== "", "no reason");
      ran();

      // An event of the living application that an administrator's constraint forbids.
      const forbidden = `${app.life}-${app.state.recorded + 1_000}`;
      await world.query(
        `ALTER TABLE security_event_log ADD CONSTRAINT no_poison CHECK (data->>'key' IS DISTINCT FROM '${forbidden}')`,
      );
      total++;
      const { health: after } = await app.until(({ health: of }) => of?.handlers[0].quarantined === many.size + 1);
      expect(after.status === "ok", `the application's health is ${after.status} after its own event's quarantine`);
      await app.close();
      const [own] = await world.query(
        "SELECT source_id || '/' || seq AS place, record FROM security_event_quarantine WHERE reason LIKE '%no_poison%'",
      );
      expect(own?.record.includes(`"${forbidden}"`), "the forbidden event's reason does not name the constraint");
      damaged.push({ place: own?.place, key: forbidden });
      const [events] = await world.query(
        `SELECT count(*)::int AS count FROM security_event_log WHERE event_type = 'event_quarantined'`,
      );
      expect(events.count === many.size + 1, `${events.count} events report ${many.size + 1} quarantines`);
      ran();

      const stats = world.startProgram(["stats", "--json"]);
      const code = await stats.exited;
      const { sources } = code === 0 ? JSON.parse(stats.output) : {};
      expect(sources?.quarantined === total, `seclog stats says ${sources?.quarantined} of ${total}: ${stats.output}`);
      note(`${kinds.length} kinds of poison; ${many.size} in one batch of 1,000 cost no other event`);
      for (const [kind, reason] of reasons) note(`${kind}: “${reason.slice(0, 160)}”`);
      const verdict = await finish(world, { damaged });
      expect(
        verdict.acknowledged - verdict.stored === total && verdict.quarantined === total,
        `${verdict.acknowledged} acknowledged, ${verdict.stored} stored, ${verdict.quarantined} in quarantine, ${total} poisoned`,
      );
    },
  },
];

/** The two that ship what a dead application left: the library in batches of 1,000, and the program. */
const WAYS = [
  async (world, _, poisoned, expect) => {
    const { quarantined, finished } = await drainSpool({
      directory: world.spool,
      handlers: [postgresHandler({ url: world.database.writerUrl, batchSize: 1_000 })],
      signal: AbortSignal.timeout(60_000),
    });
    expect(quarantined === poisoned.size && finished === 1, `drainSpool: ${quarantined} quarantined, ${finished} done`);
  },
  async (world, source, _, expect) => {
    const program = world.startProgram(["ship", "--spool", world.spool]);
    const code = await program.exited;
    expect(code === 1 && /quarantine/.test(program.output), `seclog ship ended with ${code}: ${program.output}`);
    expect(!world.sources.includes(source), "seclog ship left the source");
  },
];

const HEADER_BYTES = 64;
const FRAME_BYTES = 24;

/**
 * Puts other payloads into a segment, in frames with correct checksums: as a program with a defect would have written
 * them.
 *
 * @param {Map<number, { kind: string, bytes?: Buffer, key?: string }>} poisoned by number; receives the bytes and the
 *   event's key
 */
function rewrite(path, poisoned) {
  const bytes = readFileSync(path);
  const parts = [bytes.subarray(0, HEADER_BYTES)];
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const end = at + FRAME_BYTES + bytes.readUInt32LE(at + 12);
    const seq = Number(bytes.readBigUInt64LE(at + 16));
    const poison = poisoned.get(seq);
    if (poison === undefined) parts.push(bytes.subarray(at, end));
    else {
      poison.key = keyOf(bytes, { from: at, end });
      poison.bytes = POISONS[poison.kind](bytes.subarray(at + FRAME_BYTES, end));
      parts.push(frame(bytes.readUInt32LE(at), seq, poison.bytes));
    }
    at = end;
  }
  writeFileSync(path, Buffer.concat(parts));
}

/** A frame as spool/segment.ts describes it. */
function frame(marker, seq, payload) {
  const head = Buffer.alloc(FRAME_BYTES);
  const mixed = Math.imul(payload.length, 0x9e3779b1) ^ Math.imul(seq, 0x85ebca6b);
  head.writeUInt32LE(marker, 0);
  head.writeUInt32LE(mixed >>> 0, 4);
  head.writeUInt32LE(payload.length, 12);
  head.writeBigUInt64LE(BigInt(seq), 16);
  head.writeUInt32LE(crc32(payload, crc32(head.subarray(12))), 8);
  return Buffer.concat([head, payload]);
}
