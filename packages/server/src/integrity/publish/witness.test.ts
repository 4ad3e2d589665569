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

/** A witness of which every answer is written by hand. */
let answers: ((note: string) => { readonly status: number; readonly body: string })[];
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
      const answer = answers.shift()?.(body.slice(body.indexOf("\n\n") + 2));
      response.writeHead(answer?.status ?? 500, { location: "http://127.0.0.1:9/" }).end(answer?.body);
    });
  });
  url = new URL(`http://127.0.0.1:${await listen(server)}/prefix/`);
});
afterAll(() => closeServer(server));
beforeEach(() => {
  answers = [];
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
  it("keeps the witness's line as it stands in a note, and no stranger's", async () => {
    answers = [signed(stranger, witness, stranger)];
    await publish(300);
    const { text } = parseNote(tree.checkpoint(log).note);
    const line = formatNote({ text, signatures: [witness.sign(text)] }).slice(text.length + 1);
    expect(kept).toEqual([[300, "w.example/1", witness.keyId, line]]);
    expect(asked[0]).toBe(`old 0\n\n${tree.checkpoint(log).note}`);
  });

  it("asks how far the witness is, then remembers", async () => {
    const publisher = witnessPublisher(witness, url);
    answers = [says(409, "100\n"), signed(witness), signed(witness)];
    await publish(200, publisher);
    await publish(300, publisher);
    expect(asked.map((body) => body.split("\n")[0])).toEqual(["old 0", "old 100", "old 200"]);
    expect(kept.map(([size]) => size)).toEqual([200, 300]);
  });

  it.each([
    ["no signature", says(200, ""), "no cosignature"],
    ["a stranger's signature only", signed(stranger), "no cosignature"],
    ["a signature without a time", signed(timeless), "has no time"],
    [
      "a signature of something else",
      (note: string) => signed(witness)(note.replace(/\n\d+\n/, "\n299\n")),
      "is false",
    ],
    ["nonsense", says(200, "<html>"), "no cosignature"],
    ["a redirect", says(307, ""), "it answered 307: a redirect, which is not followed"],
    ["that it does not know the log", says(404, "unknown\n"), 'it answered 404: "unknown"'],
    ["that the signature is false", says(403, ""), "it answered 403"],
    ["an endless answer", says(200, "x".repeat(100_000)), "more than 65536 bytes"],
    ["a size that is none", says(409, "many\n"), "it answered 409"],
  ])("takes %s for a failure, and keeps nothing", async (_, answer, why) => {
    answers = [answer];
    await expect(publish(300)).rejects.toMatchObject({ code: "SECLOG_PUBLISH", message: expect.stringContaining(why) });
    expect(kept).toEqual([]);
    expect(asked).toHaveLength(1);
  });

  it("does not ask for ever when the witness says another size each time", async () => {
    answers = [1, 2, 3, 4, 5].map((size) => says(409, `${size}\n`));
    await expect(publish(300)).rejects.toMatchObject({ code: "SECLOG_PUBLISH" });
    expect(asked).toHaveLength(3);
  });

  it.each([409, 422])("raises the alarm when it answers %d with more leaves than the database has", async (status) => {
    answers = [says(status, "301\n")];
    await expect(publish(300)).rejects.toMatchObject({
      code: "SECLOG_ROLLBACK",
      message: expect.stringMatching(
        /has seen .* with 301 leaves, and the database has 300: .*rolled back.*SECLOG_ROLLBACK/,
      ),
    });
  });

  it("raises none when another sealer was faster", async () => {
    newest = 301;
    answers = [says(409, "301\n")];
    await publish(300);
    expect(kept).toEqual([]);
  });

  it("raises the alarm when the witness does not believe the proof", async () => {
    answers = [says(409, "100\n"), says(422, "the proof does not hold\n")];
    await expect(publish(300)).rejects.toMatchObject({
      code: "SECLOG_ROLLBACK",
      message: expect.stringContaining("continues the one of 100"),
    });
  });

  it("tries again when the signature could not be kept", async () => {
    const publisher = witnessPublisher(witness, url);
    answers = [signed(witness), signed(witness)];
    const broken = { ...context, cosign: () => Promise.reject(new Error("the database has gone")) };
    const subject = tree.checkpoint(log);
    await expect(publisher.publish(subject, broken, AbortSignal.timeout(10_000))).rejects.toThrow("has gone");
    await publish(300, publisher);
    expect(asked[1]?.split("\n")[0]).toBe("old 300");
    expect(kept).toHaveLength(1);
  });

  it("asks again from the beginning where it knows of more than there is", async () => {
    const publisher = witnessPublisher(witness, url);
    answers = [signed(witness), says(409, "300\n")];
    await publish(300, publisher);
    newest = 200;
    await expect(publish(200, publisher)).rejects.toMatchObject({ code: "SECLOG_ROLLBACK" });
  });
});
