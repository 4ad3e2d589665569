/**
 * What every handler promises (`ship/handler.ts`), as tests that any runner can run:
 *
 * ```ts
 * for (const { title, skip, run } of handlerContract({ open })) it.skipIf(skip)(title, run);
 * ```
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { BUILT_IN_HANDLERS } from "../built-in-handlers.ts";
import type { EventBatch, HandlerModule, SecurityEventHandler } from "../ship/handler.ts";
import { exampleBatch } from "./example-events.ts";

/** An empty destination, and how to look into it. */
export interface HandlerFixture {
  /** A handler for this destination. Several may be asked for: each stands for a process of its own. */
  create(): SecurityEventHandler | Promise<SecurityEventHandler>;
  /** The seqs of a source that are there, as often as they are there, in the order in which they came or of the seq. */
  storedSeqs(sourceId: string): Promise<readonly number[]>;
  /** The canonical bytes of an event that is there. Absent for a destination that does not keep them. */
  storedRecord?(sourceId: string, seq: number): Promise<Uint8Array | undefined>;
  /** Takes the destination away. The handlers are closed by then. */
  dispose?(): Promise<void>;
}

/** The promises, by name, for the skip list. */
export type HandlerPromise =
  | "stores a batch"
  | "keeps every byte"
  | "is idempotent"
  | "takes the rest of a batch that it has in part"
  | "goes on in a new process"
  | "keeps several sources apart"
  | "keeps the order of batches in flight"
  | "refuses an older epoch"
  | "notices a destination that went back"
  | "rejects an event that it cannot hold"
  | "goes on behind a quarantined record"
  | "gives up when its signal aborts"
  | "closes twice and then refuses"
  | "can be made in a worker";

/** Options of {@link handlerContract}. */
export interface HandlerContractOptions {
  /** Makes an empty destination; each test asks for one. */
  readonly open: () => Promise<HandlerFixture>;
  /** Promises that this handler cannot keep, with the reason. */
  readonly skip?: { readonly [promise in HandlerPromise]?: string };
}

/** One test. */
export interface HandlerContractCase {
  readonly title: string;
  /** Why it does not apply to this handler, `undefined` when it does. */
  readonly skip: string | undefined;
  /** Rejects when the promise is broken. */
  run(): Promise<void>;
}

/** The tests of the contract for one handler. */
export function handlerContract(options: HandlerContractOptions): readonly HandlerContractCase[] {
  return Object.entries(PROMISES).map(([title, keep]) => {
    const skip = options.skip?.[title as HandlerPromise];
    assert.ok(skip !== "", `the skip of "${title}" needs its reason`);
    return { title, skip, run: () => runCase(options, keep) };
  });
}

interface Destination {
  readonly fixture: HandlerFixture;
  /** A handler that is closed when the test ends. */
  create(): Promise<SecurityEventHandler>;
}

async function runCase(options: HandlerContractOptions, keep: (to: Destination) => Promise<void>): Promise<void> {
  const fixture = await options.open();
  const handlers: SecurityEventHandler[] = [];
  try {
    await keep({
      fixture,
      create: async () => {
        const handler = await fixture.create();
        handlers.push(handler);
        return handler;
      },
    });
  } finally {
    for (const handler of handlers) await handler.close();
    await fixture.dispose?.();
  }
}

const PROMISES: { readonly [promise in HandlerPromise]: (to: Destination) => Promise<void> } = {
  async "stores a batch"({ fixture, create }) {
    const handler = await create();
    const batch = exampleBatch({ sourceId: newSource(), count: 250 });
    await handle(handler, batch);
    assert.deepEqual(await seqs(fixture, batch), range(1, 250));
  },

  async "keeps every byte"({ fixture, create }) {
    const handler = await create();
    const batch = exampleBatch({
      sourceId: newSource(),
      count: HOSTILE_TEXTS.length,
      event: {
        path: HOSTILE_TEXTS.join(""),
        userAgent: HOSTILE_TEXTS.join("\t"),
        ipAddress: "::ffff:192.0.2.1",
        data: { list: HOSTILE_TEXTS, ["__proto__"]: "own", "9": 1e21, "10": -0.5, "": null },
        notes: { escaped: ["path"], flags: ['"\\'] },
      },
    });
    await handle(handler, batch);
    assert.deepEqual(await seqs(fixture, batch), range(1, batch.lastSeq));
    if (fixture.storedRecord === undefined) return;
    const stored = await fixture.storedRecord(batch.source.id, 1);
    assert.equal(stored && Buffer.from(stored).toString(), Buffer.from(batch.records[0] ?? []).toString());
  },

  async "is idempotent"({ fixture, create }) {
    const handler = await create();
    const batch = exampleBatch({ sourceId: newSource(), count: 40 });
    await handle(handler, batch);
    await handle(handler, batch);
    await handle(await create(), batch);
    assert.deepEqual(await seqs(fixture, batch), range(1, 40));
  },

  async "takes the rest of a batch that it has in part"({ fixture, create }) {
    const sourceId = newSource();
    await handle(await create(), exampleBatch({ sourceId, count: 25 }));
    await handle(await create(), exampleBatch({ sourceId, count: 60 }));
    assert.deepEqual(await fixture.storedSeqs(sourceId), range(1, 60));
  },

  async "goes on in a new process"({ fixture, create }) {
    const sourceId = newSource();
    await handle(await create(), exampleBatch({ sourceId, count: 10 }));
    const next = exampleBatch({ sourceId, firstSeq: 11, count: 10, acknowledged: 10, epoch: 2 });
    await handle(await create(), next);
    assert.deepEqual(await seqs(fixture, next), range(1, 20));
  },

  async "keeps several sources apart"({ fixture, create }) {
    const handler = await create();
    const sources = [newSource(), newSource(), newSource(), newSource()];
    await Promise.all(sources.map((sourceId) => handle(handler, exampleBatch({ sourceId, count: 30 }))));
    for (const sourceId of sources) assert.deepEqual(await fixture.storedSeqs(sourceId), range(1, 30));
  },

  async "keeps the order of batches in flight"({ fixture, create }) {
    const handler = await create();
    const window = handler.inFlight ?? 1;
    const sourceId = newSource();
    const underWay: Promise<void>[] = [];
    let acknowledged = 0;
    for (let round = 0; round < 12; round++) {
      if (underWay.length === window) {
        await underWay.shift();
        acknowledged += 20;
      }
      underWay.push(handle(handler, exampleBatch({ sourceId, firstSeq: round * 20 + 1, count: 20, acknowledged })));
    }
    await Promise.all(underWay);
    assert.deepEqual(await fixture.storedSeqs(sourceId), range(1, 240));
  },

  async "refuses an older epoch"({ fixture, create }) {
    const sourceId = newSource();
    const old = await create();
    await handle(old, exampleBatch({ sourceId, count: 5, epoch: 1 }));
    await handle(await create(), exampleBatch({ sourceId, firstSeq: 6, count: 5, epoch: 2, acknowledged: 5 }));
    await rejects(handle(old, exampleBatch({ sourceId, firstSeq: 11, count: 5, epoch: 1, acknowledged: 5 })), {
      kind: "destination",
      code: "SECLOG_SOURCE_FENCED",
    });
    assert.deepEqual(await fixture.storedSeqs(sourceId), range(1, 10));
  },

  async "notices a destination that went back"({ fixture, create }) {
    const sourceId = newSource();
    await rejects(handle(await create(), exampleBatch({ sourceId, firstSeq: 101, count: 5, acknowledged: 100 })), {
      kind: "destination",
      code: "SECLOG_STORE_BEHIND",
    });
    assert.deepEqual(await fixture.storedSeqs(sourceId), []);
  },

  async "rejects an event that it cannot hold"({ fixture, create }) {
    const handler = await create();
    const sourceId = newSource();
    const batch = exampleBatch({ sourceId, count: 10 });
    for (const poison of ["", "\0\xff", "{}\n{}", '{"v":1}', Buffer.from([0xff, 0x0a, 0xfe])]) {
      const records = [...batch.records];
      records[6] = Buffer.from(poison);
      await rejects(handle(handler, exampleBatch({ sourceId, records })), { kind: "event" });
      assert.deepEqual(await fixture.storedSeqs(sourceId), []);
    }
    await handle(handler, batch);
    assert.deepEqual(await fixture.storedSeqs(sourceId), range(1, 10));
  },

  async "goes on behind a quarantined record"({ fixture, create }) {
    const handler = await create();
    assert.ok(handler.quarantine !== undefined, "the handler has no quarantine of its own: skip this");
    const first = exampleBatch({ sourceId: newSource(), count: 3 });
    const { source } = first;
    await handle(handler, first);
    const bad = { source: { ...source, acknowledged: 3 }, seq: 4, reason: "bad\0", record: Buffer.from([0, 255]) };
    await handler.quarantine(bad, signal());
    await handler.quarantine(bad, signal());
    await handle(handler, exampleBatch({ sourceId: source.id, firstSeq: 5, count: 3, acknowledged: 4 }));
    assert.deepEqual(await fixture.storedSeqs(source.id), [1, 2, 3, 5, 6, 7]);
  },

  async "gives up when its signal aborts"({ fixture, create }) {
    const handler = await create();
    const sourceId = newSource();
    const batch = exampleBatch({ sourceId, count: 500 });
    await rejects(handler.handle(batch, AbortSignal.abort()), {});
    const controller = new AbortController();
    const pending = handler.handle(batch, controller.signal);
    controller.abort();
    // Either is allowed; what counts is that it ends, and that another try leaves no trace of this one.
    await pending.catch(() => {});
    await handle(handler, batch);
    assert.deepEqual(await fixture.storedSeqs(sourceId), range(1, 500));
  },

  async "closes twice and then refuses"({ create }) {
    const handler = await create();
    const batch = exampleBatch({ sourceId: newSource(), count: 2 });
    await handle(handler, batch);
    await Promise.all([handler.close(), handler.close()]);
    await rejects(handle(handler, { ...batch, firstSeq: 3, lastSeq: 4 }), {});
    // One that was never used has nothing to close.
    await (await create()).close();
  },

  async "can be made in a worker"({ fixture, create }) {
    const { worker } = await create();
    assert.ok(worker !== undefined, "the handler has no worker: skip this");
    const builtIn = await BUILT_IN_HANDLERS[worker.module]?.();
    const module = builtIn ?? ((await import(worker.module)) as Partial<HandlerModule>);
    assert.ok(module.createHandler !== undefined, `${worker.module} has no createHandler`);
    const handler = await module.createHandler(structuredClone(worker.options));
    try {
      const batch = exampleBatch({ sourceId: newSource(), count: 5 });
      await handle(handler, batch);
      assert.deepEqual(await seqs(fixture, batch), range(1, 5));
    } finally {
      await handler.close();
    }
  },
};

/** Text that some destination takes for its own: escapes, controls, ends of line, other scripts, formulas. */
const HOSTILE_TEXTS = [
  "plain",
  'quote " and \\ backslash \\n \\N \\. \\x00',
  "tab\tline\nreturn\rbell\u0007vt\u000bdel\u007f",
  "\u001b[31mred\u001b]8;;http://x\u0007",
  "\u202egnp.exe\u200b\ufeff",
  "žluťoučký 日本 🙂 \u{10ffff}",
  "<script>alert(1)</script>",
  "=cmd|' /C calc'!A0",
  "\\u0000",
];

function handle(handler: SecurityEventHandler, batch: EventBatch): Promise<void> {
  return handler.handle(batch, signal());
}

/** Ends a call that hangs, so that the test says so. */
function signal(): AbortSignal {
  return AbortSignal.timeout(20_000);
}

async function seqs(fixture: HandlerFixture, batch: EventBatch): Promise<readonly number[]> {
  return fixture.storedSeqs(batch.source.id);
}

async function rejects(
  promise: Promise<void>,
  expected: { readonly kind?: string; readonly code?: string },
): Promise<void> {
  await assert.rejects(promise, (error: Error & { kind?: string; code?: string }) => {
    for (const [key, value] of Object.entries(expected)) {
      assert.equal(error[key as "kind" | "code"], value, `${key} of: ${error.message}`);
    }
    return true;
  });
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** A source id that no other test has. */
function newSource(): string {
  const hex = randomBytes(10).toString("hex");
  return `01936d2f-5c00-7${hex.slice(0, 3)}-8${hex.slice(3, 6)}-${hex.slice(6, 18)}`;
}
