import { Console } from "node:console";
import { Writable } from "node:stream";
import pino from "pino";
import { describe, expect, it } from "vitest";
import { EXAMPLE_SOURCE, exampleBatch } from "../testing/example-events.ts";
import { type ForwardedEvent, loggerHandler } from "./logger.ts";

const SIGNAL = new AbortController().signal;

describe("loggerHandler()", () => {
  it("calls the logger at the event's level, once for each event", async () => {
    const lines: string[] = [];
    const handler = loggerHandler(pino({ name: "shop" }, { write: (line: string) => void lines.push(line) }));
    await handler.handle(exampleBatch({ count: 2 }), SIGNAL);
    await handler.handle(exampleBatch({ count: 3 }), SIGNAL);
    const records = lines.map((line) => JSON.parse(line));
    expect(records.map(({ security_event }) => security_event.seq)).toEqual([1, 2, 3]);
    expect(records[0]).toMatchObject({
      level: 60,
      name: "shop",
      msg: "authz_fail GET /admin/orders 403 203.0.113.9",
      security_event: {
        source_id: EXAMPLE_SOURCE,
        event_type: "authz_fail",
        actor_id: "42",
        data: { resource: "orders" },
      },
    });
  });

  it("writes the message first where the logger wants it, and nothing that a terminal obeys", async () => {
    let text = "";
    const stream = new Writable({
      write(chunk, _, done) {
        text += chunk;
        done();
      },
    });
    const handler = loggerHandler(new Console(stream));
    await handler.handle(exampleBatch({ event: { path: "/\u001b[2J\n" } }), SIGNAL);
    expect(text).toMatch(/^authz_fail GET \/\\x1b\[2J\\n 403 203\.0\.113\.9 \{\n/);
  });

  it("forwards to a function, and leaves out what came through a bridge", async () => {
    const forwarded: ForwardedEvent[] = [];
    const handler = loggerHandler((event) => void forwarded.push(event), { name: "sink", required: true });
    expect(handler).toMatchObject({ name: "sink", required: true });
    await handler.handle(exampleBatch({ event: { data: { bridge: "pino" } } }), SIGNAL);
    await handler.handle(exampleBatch({ firstSeq: 2, event: { level: "info" } }), SIGNAL);
    expect(forwarded.map(({ level, event }) => [level, event.seq])).toEqual([["info", 2]]);
  });

  it("rejects when the logger throws, and continues behind what it has forwarded", async () => {
    const seen: number[] = [];
    let broken = true;
    const handler = loggerHandler(({ event }) => {
      if (broken && event.seq === 2) throw new Error("closed");
      seen.push(event.seq);
    });
    await expect(handler.handle(exampleBatch({ count: 3 }), SIGNAL)).rejects.toThrow("closed");
    broken = false;
    await handler.handle(exampleBatch({ count: 3 }), SIGNAL);
    expect(seen).toEqual([1, 2, 3]);
  });

  it("refuses what is not a logger", () => {
    expect(() => loggerHandler({ info: () => {} } as never)).toThrow(
      /SECLOG_CONFIG|loggerHandler: logger must be a logger with debug\(\)/,
    );
  });
});
