import { randomBytes, randomUUID } from "node:crypto";
import { eventBatch } from "seclog/handler";
import { type RelayBatch, type RelayStore, relayStore } from "seclog/postgres";
import {
  decodeEnvelope,
  decodePosition,
  type EncodeOptions,
  encodeEnvelopes,
  encodePosition,
  encodeQuarantined,
  parseQueueKey,
  type QueueKey,
} from "seclog/queues";
import { exampleBatch } from "seclog/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PostgresProxy, REFUSE } from "#faults/proxy.js";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import type { DeadReason, Delivery } from "../packages/server/src/ingest/consumer.ts";
import { Intake, type IntakeOptions } from "../packages/server/src/ingest/intake.ts";
import type { IntakeEvent } from "../packages/server/src/ingest/intake-event.ts";

const shop = newKey();
const billing = newKey();

let database: TestDatabase;
let store: RelayStore;
let intake: Intake;
let sourceId: string;
let events: IntakeEvent[];
let answers: { seq: number; nonce: number }[];

beforeAll(async () => {
  database = await createTestDatabase();
  store = relayStore({ url: database.relayUrl });
});
afterAll(async () => {
  await store.close();
  await database[Symbol.asyncDispose]();
});
beforeEach(() => {
  sourceId = randomUUID();
  events = [];
  answers = [];
  intake = open();
});
afterEach(() => intake.stop());

function newKey(): QueueKey {
  return parseQueueKey("test", randomBytes(32).toString("base64"));
}

function open(options: Partial<IntakeOptions> = {}): Intake {
  return new Intake({
    store,
    keys: [
      { key: shop, sender: "shop" },
      { key: billing, sender: "billing" },
    ],
    earlyWaitMs: 200,
    lostAfterMs: 1_000,
    answer: async (_, message) => {
      answers.push(decodePosition(message, [shop, billing]));
    },
    signal: new AbortController().signal,
    onEvent: (event) => events.push(event),
    ...options,
  });
}

/** A message, and what became of it. */
class Message implements Delivery {
  fate: "held" | "done" | "released" | DeadReason = "held";
  readonly bytes: Uint8Array;
  readonly attempts: number;
  readonly queuedAt = undefined;

  constructor(bytes: Uint8Array, attempts = 1) {
    this.bytes = bytes;
    this.attempts = attempts;
  }
  async done(): Promise<void> {
    this.#settle("done");
  }
  async release(): Promise<void> {
    this.#settle("released");
  }
  async bury(reason: DeadReason): Promise<void> {
    this.#settle(reason);
  }
  #settle(fate: Message["fate"]): void {
    expect(this.fate).toBe("held");
    this.fate = fate;
  }
}

/** The envelope of a source's events `firstSeq` to `lastSeq`. */
function envelope(firstSeq: number, lastSeq: number, options: Partial<EncodeOptions> = {}): Message {
  const batch = exampleBatch({ sourceId, firstSeq, count: lastSeq - firstSeq + 1 });
  const [made] = encodeEnvelopes(batch, { maxBytes: 1_000_000, keys: [shop], ...options });
  return new Message(made?.bytes ?? Buffer.alloc(0));
}

/** The same events, as another worker stores them. */
function relayBatch(firstSeq: number, lastSeq: number): RelayBatch {
  const batch = exampleBatch({ sourceId, firstSeq, count: lastSeq - firstSeq + 1 });
  const { source } = decodeEnvelope(envelope(firstSeq, lastSeq).bytes, { keys: [shop] });
  return { source: { ...source, sender: "shop" }, firstSeq, records: batch.records };
}

async function take(...messages: Message[]): Promise<void> {
  for (const message of messages) await intake.take(message);
}

async function stored(): Promise<number[]> {
  const rows = await database.query<{ seq: number }>(
    "SELECT seq::int FROM security_event_log WHERE source_id = $1 ORDER BY seq",
    [sourceId],
  );
  return rows.map(({ seq }) => seq);
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe("take()", () => {
  it("stores what comes in any order, twice or overlapping, and acknowledges it after the commit", async () => {
    const messages = [envelope(6, 10), envelope(1, 5), envelope(3, 8), envelope(1, 5), envelope(11, 12)];
    await take(...messages);
    await expect.poll(() => messages.map(({ fate }) => fate)).toEqual(messages.map(() => "done"));
    expect(await stored()).toEqual(range(1, 12));
    expect(answers.at(-1)).toMatchObject({ seq: 12, nonce: 0 });
  });

  it("stores what comes with a part of what is stored already, each event under its own number", async () => {
    await take(envelope(1, 10));
    await expect.poll(stored).toEqual(range(1, 10));
    const messages = [envelope(1, 3), envelope(11, 12), envelope(5, 6), envelope(13, 15), envelope(9, 11)];
    await take(...messages);
    await expect.poll(() => messages.map(({ fate }) => fate)).toEqual(messages.map(() => "done"));
    expect(await stored()).toEqual(range(1, 15));
    expect(events.filter(({ kind }) => kind !== "stored")).toEqual([]);
  });

  it("answers a question after what came before it is stored", async () => {
    const question = new Message(encodePosition({ kind: "asked", sourceId, seq: 0, nonce: 77 }, [shop]));
    await take(envelope(1, 50), envelope(51, 90), question);
    await expect.poll(() => question.fate).toBe("done");
    expect(answers.find(({ nonce }) => nonce === 77)).toMatchObject({ seq: 90 });
  });

  it("answers for a source that it has never seen", async () => {
    const question = new Message(encodePosition({ kind: "asked", sourceId, seq: 0, nonce: 5 }, [shop]));
    await take(question);
    await expect.poll(() => question.fate).toBe("done");
    expect(answers).toMatchObject([{ seq: 0, nonce: 5 }]);
  });

  it("drops a message whose predecessor is lost, since its sender sends both again", async () => {
    const [early, question] = [
      envelope(4, 6),
      new Message(encodePosition({ kind: "asked", sourceId, seq: 0, nonce: 9 }, [shop])),
    ];
    await take(early, question);
    await expect.poll(() => early.fate).toBe("done");
    expect(await stored()).toEqual([]);
    expect(answers).toMatchObject([{ seq: 0, nonce: 9 }]);
    await take(envelope(1, 3), envelope(4, 6));
    await expect.poll(stored).toEqual(range(1, 6));
  });

  it("gives such a message back if its sender keeps no copy, and puts the hole on record in the end", async () => {
    const first = envelope(4, 6, { queued: true });
    await take(first);
    await expect.poll(() => first.fate).toBe("released");
    await expect
      .poll(async () => {
        const again = envelope(4, 6, { queued: true });
        await take(again);
        await expect.poll(() => again.fate).not.toBe("held");
        return again.fate;
      })
      .toBe("done");
    expect(await stored()).toEqual(range(4, 6));
    expect(events).toContainEqual({ kind: "lost", sourceId, firstSeq: 1, lastSeq: 3 });
    const rows = await database.query("SELECT seq::int, reason FROM security_event_quarantine WHERE source_id = $1", [
      sourceId,
    ]);
    expect(rows).toHaveLength(3);
    const late = envelope(2, 3, { queued: true });
    await take(late);
    await expect.poll(() => late.fate).toMatchObject({ code: "SECLOG_SOURCE_SEIZED" });
  });

  it("does not take for lost what another worker could not store while the database was away", async () => {
    await using proxy = await PostgresProxy.start(Number(new URL(database.relayUrl).port));
    const through = relayStore({ url: proxy.through(database.relayUrl) });
    intake = open({ store: through, earlyWaitMs: 100, lostAfterMs: 1_500 });
    try {
      const early = envelope(4, 6, { queued: true });
      await take(early);
      await expect.poll(() => early.fate).toBe("released");
      proxy.trap = REFUSE;
      proxy.cut();
      const again = envelope(4, 6, { queued: true });
      await take(again);
      await expect.poll(() => events.filter(({ kind }) => kind === "trouble").length).toBeGreaterThan(4);
      proxy.trap = undefined;
      await expect.poll(() => again.fate).toBe("released");
      await store.store(relayBatch(1, 3), AbortSignal.timeout(20_000));
      await take(envelope(4, 6, { queued: true }));
      await expect.poll(stored).toEqual(range(1, 6));
      expect(events.filter(({ kind }) => kind === "lost")).toEqual([]);
    } finally {
      await intake.stop();
      await through.close();
    }
  });

  it("buries what it cannot read, and first gives back what another worker may read", async () => {
    const altered = envelope(1, 2);
    altered.bytes[140] = (altered.bytes[140] ?? 0) ^ 1;
    const [garbage, stranger, plain] = [
      new Message(Buffer.from("hello")),
      envelope(1, 2, { keys: [newKey()] }),
      envelope(1, 2, { keys: [] }),
    ];
    await take(garbage, altered, stranger, plain, new Message(Buffer.alloc(0)));
    expect(garbage.fate).toMatchObject({ code: "SECLOG_ENVELOPE" });
    expect(altered.fate).toMatchObject({ code: "SECLOG_ENVELOPE" });
    expect([stranger.fate, plain.fate]).toEqual(["released", "released"]);
    const often = new Message(stranger.bytes, 5);
    await take(often);
    expect(often.fate).toMatchObject({ code: "SECLOG_ENVELOPE_KEY" });
    expect(await stored()).toEqual([]);
  });

  it("refuses one application's envelopes under another one's source", async () => {
    await take(envelope(1, 3));
    await expect.poll(stored).toEqual(range(1, 3));
    const forged = envelope(4, 6, { keys: [billing] });
    await take(forged);
    await expect.poll(() => forged.fate).toMatchObject({ code: "SECLOG_SOURCE_SENDER" });
    await take(envelope(4, 6));
    await expect.poll(stored).toEqual(range(1, 6));
  });

  it("quarantines a record that is not an event, and stores the others", async () => {
    const { source, records } = exampleBatch({ sourceId, count: 9 });
    const mixed = [...records.slice(0, 4), Buffer.from("{}\n{}"), ...records.slice(5)];
    const [made] = encodeEnvelopes(eventBatch(source, 1, mixed), { maxBytes: 1_000_000, keys: [shop] });
    const poison = new Message(made?.bytes ?? Buffer.alloc(0));
    const aside = encodeQuarantined(
      { source, seq: 10, reason: "too large for the engine", record: Buffer.from("x") },
      { maxBytes: 1_000_000, keys: [shop] },
    );
    await take(poison, new Message(aside.bytes), envelope(11, 11));
    await expect.poll(stored).toEqual([1, 2, 3, 4, 6, 7, 8, 9, 11]);
    expect(events.filter(({ kind }) => kind === "quarantined")).toMatchObject([{ seq: 5 }, { seq: 10 }]);
    expect(answers.at(-1)).toMatchObject({ seq: 11 });
  });

  it("holds a bounded number of messages, however many come", async () => {
    const waiting: Promise<void>[] = [];
    // Sources whose first message is missing: each message waits.
    intake = open({ earlyWaitMs: 60_000 });
    for (let i = 0; i < 300; i++) {
      sourceId = randomUUID();
      waiting.push(intake.take(envelope(2, 2)));
    }
    const settled = await Promise.race([
      Promise.all(waiting).then(() => "all"),
      new Promise((r) => setTimeout(r, 300)),
    ]);
    expect(settled).toBeUndefined();
  });
});

describe("stop()", () => {
  it("gives back what is not stored", async () => {
    intake = open({ earlyWaitMs: 60_000 });
    const early = envelope(7, 8);
    await take(early);
    await intake.stop();
    expect(early.fate).toBe("released");
  });
});
