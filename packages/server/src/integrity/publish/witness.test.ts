import { createServer, type Server } from "node:http";
import { formatNote, formatPrivateKey, parseNote, parsePrivateKey } from "seclog/merkle";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { closeServer, listen } from "#test/support/http-client.ts";
import { MemoryTree, type SealedCheckpoint, seed } from "#test/support/sealed-tree.ts";
import type { PublishContext } from "./publisher.ts";
import { witnessPublisher } from "./witness.ts";

const log = parsePrivateKey(formatPrivateKey("log.example/shop", seed()));
const key = formatPrivateKey("w.example/1", seed(), "cosignature");
const witness = parsePrivateKey(key, () => 1_700_000_000);
const timeless = parsePrivateKey(key, () => 0);
const stranger = parsePrivateKey(formatPrivateKey("w.example/2", seed(), "cosignature"));
const tree = new MemoryTree(300);

/** A witness with scripted responses. */
let responses: ((note: string) => { readonly status: number; readonly body: string })[];
let asked: string[];
let kept: (readonly [number, string, number, string])[];
let newest: number;
let server: Server;
let url: URL;

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => {
      body += chunk;
    });
    request.on("end", () => {
      asked.push(body);
      const scripted = responses.shift()?.(body.slice(body.indexOf("\n\n") + 2));
      response.writeHead(scripted?.status ?? 500, { location: "http://127.0.0.1:9/" }).end(scripted?.body);
    });
  });
  url = new URL(`http://127.0.0.1:${await listen(server)}/prefix/`);
});
afterAll(() => closeServer(server));
beforeEach(() => {
  responses = [];
  asked = [];
  kept = [];
  newest = tree.size;
});

const context: PublishContext = {
  tiles: tree.tiles,
  newestSize: async () => newest,
  cosign: async (...line) => {
    kept.push(line);
  },
};
const publish = async (
  size: number,
  publisher = witnessPublisher(witness, url),
  subject: SealedCheckpoint = tree.checkpoint(log, size),
) => await publisher.publish(subject, context, AbortSignal.timeout(10_000));
const signed =
  (...by: (typeof witness)[]) =>
  (note: string) => {
    const { text } = parseNote(note);
    const line = formatNote({ text, signatures: by.map((signer) => signer.sign(text)) });
    return { status: 200, body: line.slice(text.length + 1) };
  };
const says = (status: number, body: string) => () => ({ status, body });

describe("witnessPublisher()", () => {
  it("stores the witness's line in the form of a note, and no other signature", async () => {
    responses = [signed(stranger, witness, stranger)];
    await publish(300);
    const { text } = parseNote(tree.checkpoint(log).note);
    const line = formatNote({ text, signatures: [witness.sign(text)] }).slice(text.length + 1);
    expect(kept).toEqual([[300, "w.example/1", witness.keyId, line]]);
    expect(asked[0]).toBe(`old 0\n\n${tree.checkpoint(log).note}`);
  });

  it("learns the witness's size, then remembers it", async () => {
    const publisher = witnessPublisher(witness, url);
    responses = [says(409, "100\n"), signed(witness), signed(witness)];
    await publish(200, publisher);
    await publish(300, publisher);
    expect(asked.map((body) => body.split("\n")[0])).toEqual(["old 0", "old 100", "old 200"]);
    expect(kept.map(([size]) => size)).toEqual([200, 300]);
  });

  it.each([
    ["no signature", says(200, ""), "not a cosignature"],
    ["a stranger's signature only", signed(stranger), "not a cosignature"],
    ["a signature without a time", signed(timeless), "has no time"],
    ["a signature of another text", (note: string) => signed(witness)(note.replace(/\n\d+\n/, "\n299\n")), "is false"],
    ["nonsense", says(200, "<html>"), "not a cosignature"],
    ["a redirect", says(307, ""), "it responded with 307: a redirect, which is not followed"],
    ["an unknown log", says(404, "unknown\n"), 'it responded with 404: "unknown"'],
    ["a rejected signature", says(403, ""), "it responded with 403"],
    ["an endless response", says(200, "x".repeat(100_000)), "more than 65536 bytes"],
    ["an invalid size", says(409, "many\n"), "it responded with 409"],
  ])("treats %s as a failure, and stores nothing", async (_, response, why) => {
    responses = [response];
    await expect(publish(300)).rejects.toMatchObject({ code: "SECLOG_PUBLISH", message: expect.stringContaining(why) });
    expect(kept).toEqual([]);
    expect(asked).toHaveLength(1);
  });

  it("does not retry for ever if the witness reports a new size each time", async () => {
    responses = [1, 2, 3, 4, 5].map((size) => says(409, `${size}\n`));
    await expect(publish(300)).rejects.toMatchObject({ code: "SECLOG_PUBLISH" });
    expect(asked).toHaveLength(3);
  });

  it.each([409, 422])("raises the alarm on a %d with more leaves than the database has", async (status) => {
    responses = [says(status, "301\n")];
    await expect(publish(300)).rejects.toMatchObject({
      code: "SECLOG_ROLLBACK",
      message: expect.stringMatching(
        /has seen .* with 301 leaves, and the database has 300: .*rolled back.*SECLOG_ROLLBACK/,
      ),
    });
  });

  it("raises no alarm if another sealer was faster", async () => {
    newest = 301;
    responses = [says(409, "301\n")];
    await publish(300);
    expect(kept).toEqual([]);
  });

  it("raises the alarm if the witness does not accept the proof", async () => {
    responses = [says(409, "100\n"), says(422, "the proof does not hold\n")];
    await expect(publish(300)).rejects.toMatchObject({
      code: "SECLOG_ROLLBACK",
      message: expect.stringContaining("continues the one of 100"),
    });
  });

  it("retries if the signature could not be stored", async () => {
    const publisher = witnessPublisher(witness, url);
    responses = [signed(witness), signed(witness)];
    const broken = { ...context, cosign: () => Promise.reject(new Error("the database has gone")) };
    const subject = tree.checkpoint(log);
    await expect(publisher.publish(subject, broken, AbortSignal.timeout(10_000))).rejects.toThrow("has gone");
    await publish(300, publisher);
    expect(asked[1]?.split("\n")[0]).toBe("old 300");
    expect(kept).toHaveLength(1);
  });

  it("starts from the beginning if it remembers more leaves than the log has", async () => {
    const publisher = witnessPublisher(witness, url);
    responses = [signed(witness), says(409, "300\n")];
    await publish(300, publisher);
    newest = 200;
    await expect(publish(200, publisher)).rejects.toMatchObject({ code: "SECLOG_ROLLBACK" });
  });
});
