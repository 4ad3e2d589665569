import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { exampleBatch } from "../testing/example-events.ts";
import { stdoutHandler } from "./stdout.ts";

const quiet = new AbortController().signal;

/** A stream that keeps what it is given. */
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

  it("runs on the application's thread, where a stream that fails can be caught", () => {
    expect(stdoutHandler({ stream: "stderr" }).worker).toBeUndefined();
  });

  it("has no colours where nobody looks", async () => {
    const { stream, text } = collector();
    await stdoutHandler({ stream }).handle(exampleBatch({ count: 1 }), quiet);
    expect(text()).not.toContain("\u001b");
  });

  it("a reader that left stops the handler and does not end the process", async () => {
    const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error("EPIPE")) });
    const handler = stdoutHandler({ stream });
    await expect(handler.handle(exampleBatch({ count: 1 }), quiet)).rejects.toMatchObject({ kind: "destination" });
    // Unheard, the stream's "error" would have ended the process by now; and it is heard no longer than needed.
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(stream.listenerCount("error")).toBe(0);
    await expect(handler.handle(exampleBatch({ count: 1 }), quiet)).rejects.toMatchObject({ kind: "destination" });
  });

  it("a reader that is stuck holds one batch, and gets it once", async () => {
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

  it("an event that cannot be read is the event's fault", async () => {
    const { stream } = collector();
    const batch = exampleBatch({ count: 1, records: [Buffer.from("nothing")] });
    await expect(stdoutHandler({ stream }).handle(batch, quiet)).rejects.toMatchObject({ kind: "event" });
  });

  it("refuses options that it does not have", () => {
    expect(() => stdoutHandler({ colour: true, formt: "line" } as object)).toThrow(/stdoutHandler: formt/);
    expect(() => stdoutHandler({ format: "xml" as "line" })).toThrow(/format must be/);
    expect(() => stdoutHandler({ stream: {} as Writable })).toThrow(/stream must be/);
  });
});
