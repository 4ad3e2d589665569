import { createHash, randomBytes } from "node:crypto";
import { encodeEvent } from "seclog";
import {
  formatCheckpoint,
  formatTlogProof,
  inclusionProof,
  leafHash,
  signNote,
  TreeAppender,
  tilePath,
} from "seclog/merkle";
import { exampleEvent } from "seclog/testing";
import { describe, expect, it } from "vitest";
import { newKey, ORIGIN } from "#test/support/naive-sealer.ts";
import { differencesOf } from "./differences.ts";
import { readLogKey } from "./note.ts";
import { ProofError } from "./proof-error.ts";
import { verifyProof } from "./verify-proof.ts";

const log = newKey();
const keys = [await readLogKey(log.vkey)];
const SIZE = 300;
const STORED = '{"created_at":"2026-11-22T19:43:22.123456Z","retention":"standard"}';
const salts = Array.from({ length: SIZE }, () => randomBytes(16));

/** The lines of event `seq` in a proof. */
function linesOf(seq: number): readonly [string, string, string, string, string] {
  const [core = "", personal = ""] = encodeEvent(exampleEvent(seq)).split("\n");
  const salt = salts[seq - 1] as Buffer;
  const commitment = createHash("sha256").update(salt).update(personal).digest("hex");
  return [core, commitment, STORED, salt.toString("hex"), personal];
}

const tree = new TreeAppender();
for (let seq = 1; seq <= SIZE; seq++) tree.append(leafHash(linesOf(seq).slice(0, 3).join("\n")));
const tiles = new Map(tree.take().map((tile) => [tilePath(tile), tile.hashes]));
const note = signNote(formatCheckpoint({ origin: ORIGIN, size: SIZE, root: tree.root() }), [log]);

/** A proof by the library's own prover. */
async function proofOf(seq: number, lines = 5): Promise<string> {
  const proof = await inclusionProof(seq - 1, SIZE, async (names) =>
    names.map((name) => tiles.get(tilePath(name)) as Uint8Array),
  );
  const extra = Buffer.from(linesOf(seq).slice(0, lines).join("\n"));
  return formatTlogProof({ extra, index: seq - 1, proof, checkpoint: note });
}

describe("verifyProof()", () => {
  it("accepts the proof of any event, whole or without its personal part", async () => {
    for (const seq of [1, 2, 17, 256, 257, SIZE]) {
      const proven = await verifyProof(await proofOf(seq), keys);
      expect(proven).toMatchObject({ index: seq - 1, isWhole: true, columns: { seq, actor_id: "42" } });
      expect(proven.root).toBe(Buffer.from(tree.root()).toString("hex"));
      const redacted = await verifyProof(await proofOf(seq, 3), keys);
      expect(redacted).toMatchObject({ isWhole: false, columns: { seq } });
      expect(redacted.columns).not.toHaveProperty("actor_id");
    }
  });

  it("refuses a proof with any byte changed", async () => {
    const proof = await proofOf(17);
    for (let at = 0; at < proof.length; at++) {
      const changed = `${proof.slice(0, at)}${proof[at] === "A" ? "B" : "A"}${proof.slice(at + 1)}`;
      await expect(verifyProof(changed, keys), `byte ${at}`).rejects.toThrow(ProofError);
    }
  });

  it("refuses a path that is longer, shorter or in another order", async () => {
    const proof = await proofOf(17);
    const [first = "", second = ""] = proof.split("\n").slice(3);
    for (const changed of [
      proof.replace(`${first}\n`, ""),
      proof.replace(`${first}\n`, `${first}\n${first}\n`),
      proof.replace(`${first}\n${second}`, `${second}\n${first}`),
      proof.replace("index 16", "index 17"),
      proof.replace("index 16", "index 300"),
    ]) {
      expect(changed).not.toBe(proof);
      await expect(verifyProof(changed, keys)).rejects.toThrow(ProofError);
    }
  });

  it("refuses a checkpoint that no trusted key signed", async () => {
    const proof = await proofOf(17);
    const other = await readLogKey(newKey().vkey);
    await expect(verifyProof(proof, [other])).rejects.toThrow(/No trusted key signed .* Trusted: .*\+/);
    await expect(verifyProof(proof, [])).rejects.toThrow("Trusted: none");
  });
});

describe("readLogKey()", () => {
  it("refuses a key whose id is not its own, and one of a witness", async () => {
    const damaged = log.vkey.replace(
      /\+([0-9a-f]{8})\+/,
      (_, id: string) => `+${id.replace(/./, (d) => (d === "0" ? "1" : "0"))}+`,
    );
    await expect(readLogKey(damaged)).rejects.toThrow("is damaged");
    await expect(readLogKey(newKey("w.example", "cosignature").vkey)).rejects.toThrow("not a log's key");
    await expect(readLogKey("nonsense")).rejects.toThrow("not a log's key");
  });
});

describe("differencesOf()", () => {
  const proven = { id: "a", data: { b: 1, a: [1, { y: 2, x: 3 }] }, retention: "standard" };

  it("finds none whatever the order of members is", () => {
    expect(differencesOf({ data: { a: [1, { x: 3, y: 2 }], b: 1 }, id: "a" }, proven)).toEqual([]);
  });

  it("names a column that differs, lacks or was added", () => {
    expect(differencesOf({ id: "b", data: proven.data }, proven)).toEqual(["id"]);
    expect(differencesOf({ id: "a" }, proven)).toEqual(["data"]);
    expect(differencesOf({ id: "a", data: proven.data, path: "/x" }, proven)).toEqual(["path"]);
  });

  it("names a column that the server calls odd, or that only a proof has, where it differs", () => {
    expect(differencesOf({ id: "a", data: "{", odd: ["data"] }, proven)).toEqual(["data"]);
    expect(differencesOf({ id: "a", data: proven.data, retention: "short" }, proven)).toEqual(["retention"]);
  });
});
