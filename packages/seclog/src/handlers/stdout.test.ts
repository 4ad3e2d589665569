import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { exampleBatch } from "../testing/example-events.ts";
import { stdoutHandler } from "./stdout.ts";

const quiet = new AbortController().signal;

/** A stream that keeps what was written to it. */
function collector(): { readonly stream: Writable; text(): string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}

describe("stdoutHandler()", () => {
  it("prints each event once, in both formats", async () => {
    for (const format of ["line", "ndjson"] as const) {
      const { stream, text } = collector();
      const handler = stdoutHandler({ stream, format });
      await handler.handle(exampleBatch({ count: 3 }), quiet);
      await handler.handle(exampleBatch({ count: 3 }), quiet);
      await handler.handle(exampleBatch({ firstSeq: 2, count: 4 }), quiet);
      const lines = text().trimEnd().split("\n");
      expect(lines).toHaveLength(5);
      if (format === "ndjson") expect(lines.map((line) => JSON.parse(line).seq)).toEqual([1, 2, 3, 4, 5]);
    }
  });

  it("runs on the application's thread, where a failing stream can be caught", () => {
    expect(stdoutHandler({ stream: "stderr" }).worker).toBeUndefined();
  });

  it("is pretty on a terminal, as wide as that is, and refuses a format that does not exist", async () => {
    const { stream, text } = collector();
    const terminal = Object.assign(stream, { isTTY: true, columns: 50 });
    await stdoutHandler({ stream: terminal, colour: false, facts: true }).handle(exampleBatch({ count: 1 }), quiet);
    const [line = "", fact] = text().split("\n");
    expect(line).toMatch(/^\d\d:\d\d:\d\d CRIT {2}authz_fail .*…$/);
    expect(line).toHaveLength(50);
    expect(fact).toMatch(/^ +├ /);
    expect(() => stdoutHandler({ format: "toString" as never })).toThrow('one of "pretty", "line", "ndjson"');
  });

  it("prints without colours unless the stream is a terminal", async () => {
    const { stream, text } = collector();
    await stdoutHandler({ stream }).handle(exampleBatch({ count: 1 }), quiet);
    expect(text()).not.toContain("\u001b");
  });

  it("stops when its reader has gone, without ending the process", async () => {
    const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error("EPIPE")) });
    const handler = stdoutHandler({ stream });
    await expect(handler.handle(exampleBatch({ count: 1 }), quiet)).rejects.toMatchObject({ kind: "destination" });
    // Without a listener the stream's "error" would have ended the process. Afterwards the listener is removed.
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(stream.listenerCount("error")).toBe(0);
    await expect(handler.handle(exampleBatch({ count: 1 }), quiet)).rejects.toMatchObject({ kind: "destination" });
  });

  it("prints a batch once, even when its reader is stuck for a while", async () => {
    const written: string[] = [];
    let resume = (): void => {};
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        written.push(chunk.toString());
        resume = done;
      },
    });
    const handler = stdoutHandler({ stream, format: "ndjson" });
    for (let attempt = 0; attempt < 3; attempt++) {
      const impatient = new AbortController();
      const handled = handler.handle(exampleBatch({ count: 1 }), impatient.signal);
      setImmediate(() => impatient.abort());
      await expect(handled).rejects.toMatchObject({ kind: "retry" });
    }
    resume();
    await handler.handle(exampleBatch({ count: 1 }), quiet);
    expect(written).toHaveLength(1);
  });

  it("blames an event that cannot be decoded", async () => {
    const { stream } = collector();
    const batch = exampleBatch({ count: 1, records: [Buffer.from("nothing")] });
    await expect(stdoutHandler({ stream }).handle(batch, quiet)).rejects.toMatchObject({ kind: "event" });
  });

  it("refuses unknown options", () => {
    expect(() => stdoutHandler({ colour: true, formt: "line" } as object)).toThrow(/stdoutHandler: formt/);
    expect(() => stdoutHandler({ format: "xml" as "line" })).toThrow(/format must be/);
    expect(() => stdoutHandler({ stream: {} as Writable })).toThrow(/stream must be/);
  });
});
