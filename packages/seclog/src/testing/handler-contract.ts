/**
 * The promises of every handler (`ship/handler.ts`) as tests for any runner:
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

/** An empty destination, and the means to inspect it. */
export interface HandlerFixture {
  /** Creates a handler for this destination. A test may create several: each represents another process. */
  create(): SecurityEventHandler | Promise<SecurityEventHandler>;
  /** The stored seqs of a source, each as often as it is stored, in order of arrival or of seq. */
  storedSeqs(sourceId: string): Promise<readonly number[]>;
  /** The canonical bytes of a stored event. Absent for a destination that does not keep them. */
  storedRecord?(sourceId: string, seq: number): Promise<Uint8Array | undefined>;
  /** Removes the destination, after the handlers were closed. */
  dispose?(): Promise<void>;
}

/** The promises by name, for the skip list. */
export type HandlerPromise =
  | "stores a batch"
  | "keeps every byte"
  | "is idempotent"
  | "stores the rest of a partly stored batch"
  | "continues in a new process"
  | "keeps several sources apart"
  | "keeps the order of batches in flight"
  | "refuses an older epoch"
  | "notices a destination that went back"
  | "rejects an event that it cannot hold"
  | "continues past a quarantined record"
  | "gives up when its signal aborts"
  | "closes twice and then refuses"
  | "can be created in a worker";

/** Options of {@link handlerContract}. */
export interface HandlerContractOptions {
  /** Creates an empty destination; called once per test. */
  readonly open: () => Promise<HandlerFixture>;
  /** Promises that do not apply to this handler, each with the reason. */
  readonly skip?: { readonly [promise in HandlerPromise]?: string };
}

export interface HandlerContractCase {
  readonly title: string;
  /** Why it does not apply to this handler; `undefined` when it does. */
  readonly skip: string | undefined;
  /** Rejects if the handler breaks the promise. */
  run(): Promise<void>;
}

/** The contract's tests for one handler. */
export function handlerContract(options: HandlerContractOptions): readonly HandlerContractCase[] {
  return Object.entries(PROMISES).map(([title, check]) => {
    const skip = options.skip?.[title as HandlerPromise];
    assert.ok(skip !== "", `skipping "${title}" needs a reason`);
    return { title, skip, run: () => runCase(options, check) };
  });
}

interface Destination {
  readonly fixture: HandlerFixture;
  /** Creates a handler that is closed when the test ends. */
  create(): Promise<SecurityEventHandler>;
}

async function runCase(
  options: HandlerContractOptions,
  check: (destination: Destination) => Promise<void>,
): Promise<void> {
  const fixture = await options.open();
  const handlers: SecurityEventHandler[] = [];
  try {
    await check({
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

const PROMISES: { readonly [promise in HandlerPromise]: (destination: Destination) => Promise<void> } = {
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

  async "stores the rest of a partly stored batch"({ fixture, create }) {
    const sourceId = newSource();
    await handle(await create(), exampleBatch({ sourceId, count: 25 }));
    await handle(await create(), exampleBatch({ sourceId, count: 60 }));
    assert.deepEqual(await fixture.storedSeqs(sourceId), range(1, 60));
  },

  async "continues in a new process"({ fixture, create }) {
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

  async "continues past a quarantined record"({ fixture, create }) {
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
    // Either outcome is allowed, as long as the call ends and a retry does not store anything twice.
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
    // A handler that was never used must close as well.
    await (await create()).close();
  },

  async "can be created in a worker"({ fixture, create }) {
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

/** Text that some destination could interpret: escapes, controls, ends of line, other scripts, formulas. */
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

/** Aborts a call that hangs, so that its test fails. */
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

/** A source id that no other test uses. */
function newSource(): string {
  const hex = randomBytes(10).toString("hex");
  return `01936d2f-5c00-7${hex.slice(0, 3)}-8${hex.slice(3, 6)}-${hex.slice(6, 18)}`;
}
