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
import { readVkey, VerifyError } from "./note.ts";
import { verifyProof } from "./proof.ts";

const log = newKey();
const witness = newKey("w.example", "cosignature");
const keys = [readVkey(log.vkey)];
const SIZE = 300;

const STORED = '{"created_at":"2026-11-22T19:43:22.123456Z","retention":"standard"}';

const salts = Array.from({ length: SIZE }, () => randomBytes(16));
/** The lines of event `seq` in a proof. */
function parts(seq: number) {
  const [core = "", personal = ""] = encodeEvent(exampleEvent(seq)).split("\n");
  const salt = salts[seq - 1] as Buffer;
  const commitment = createHash("sha256").update(salt).update(personal).digest("hex");
  return { core, commitment, stored: STORED, salt: salt.toString("hex"), personal };
}

const tree = new TreeAppender();
for (let seq = 1; seq <= SIZE; seq++) {
  const { core, commitment, stored } = parts(seq);
  tree.append(leafHash(`${core}\n${commitment}\n${stored}`));
}
const tiles = new Map(tree.take().map((tile) => [tilePath(tile), tile.hashes]));
const checkpoint = { origin: ORIGIN, size: SIZE, root: tree.root() };
const note = signNote(formatCheckpoint(checkpoint), [log, witness]);

async function proofFile(
  seq: number,
  { redacted = false, signed = note, change = (text: string) => text, index = seq - 1 } = {},
): Promise<string> {
  const { core, commitment, stored, salt, personal } = parts(seq);
  const event = [core, commitment, stored, ...(redacted ? [] : [salt, personal])];
  const proof = await inclusionProof(seq - 1, SIZE, async (names) =>
    names.map((name) => tiles.get(tilePath(name)) as Uint8Array),
  );
  return formatTlogProof({ extra: Buffer.from(change(event.join("\n"))), index, proof, checkpoint: signed });
}

describe("verifyProof()", () => {
  it("accepts the proof of any event, whole or without its personal part", async () => {
    for (const seq of [1, 2, 17, 256, 257, SIZE]) {
      const proven = verifyProof(await proofFile(seq), keys);
      expect(proven).toMatchObject({ index: seq - 1, checkpoint: { origin: ORIGIN, size: SIZE, signers: keys } });
      expect({ ...proven.core, ...proven.personal }).toMatchObject({
        seq,
        path: "/admin/orders",
        actor_id: "42",
      });
      const redacted = verifyProof(await proofFile(seq, { redacted: true }), keys);
      expect(redacted.core).toMatchObject({ seq, event_type: "authz_fail" });
      expect(redacted).not.toHaveProperty("personal");
    }
  });

  it("returns the named witnesses that signed", async () => {
    const known = readVkey(witness.vkey);
    expect(verifyProof(await proofFile(17), keys, [known]).checkpoint.signers).toEqual([keys[0], known]);
  });

  const other = newKey("other.example");
  const hash = `${randomBytes(32).toString("base64")}\n`;
  const first = /^index \d+\n(.+\n)(.+\n)/m;
  const forgeries: readonly [string, (file: string) => string | Promise<string>, RegExp][] = [
    [
      "truncated: the last hash of the path",
      (file) => file.replace(/\n[^\n]+\n\n/, "\n\n"),
      /does not lead from the event/,
    ],
    ["truncated: the first hash of the path", (file) => file.replace(first, "index 16\n$2"), /does not lead/],
    ["extended: a node after the path", (file) => file.replace("\n\n", `\n${hash}\n`), /does not lead/],
    ["extended: a node before the path", (file) => file.replace(first, `index 16\n${hash}$1$2`), /does not lead/],
    ["swapped: two hashes of the path", (file) => file.replace(first, "index 16\n$2$1"), /does not lead/],
    ["a hash of the path changed", (file) => file.replace(first, `index 16\n${hash}$2`), /does not lead/],
    ["another index", (file) => file.replace("index 16", "index 17"), /does not lead .* its index 17/],
    [
      "an index beyond the tree",
      (file) => file.replace("index 16", "index 300"),
      /for leaf 300, but its checkpoint has only 300 leaves/,
    ],
    ["another size", (file) => file.replace("\n300\n", "\n301\n"), /the signature of .* is invalid/],
    ["another root", (file) => file.replace(/\n300\n.{44}\n/, `\n300\n${hash}`), /the signature of .* is invalid/],
    [
      "another key of the same name",
      () => proofFile(17, { signed: signNote(formatCheckpoint(checkpoint), [newKey()]) }),
      /none of the keys named has signed/,
    ],
    [
      "another origin, signed by that log",
      () => proofFile(17, { signed: signNote(formatCheckpoint({ ...checkpoint, origin: other.name }), [other]) }),
      /none of the keys named has signed/,
    ],
    [
      "another origin, signed by this log's key",
      () => proofFile(17, { signed: signNote(formatCheckpoint({ ...checkpoint, origin: other.name }), [log]) }),
      /the checkpoint belongs to the log other\.example, and no named key of that log has signed it/,
    ],
    [
      "a witness's signature instead of the log's",
      (file) => file.replace(/^\u2014 log\..*\n/m, ""),
      /none of the keys named/,
    ],
    [
      "a changed event",
      () => proofFile(17, { change: (event) => event.replace("authz_fail", "authn_fail") }),
      /does not lead from the event/,
    ],
    [
      "another event's text",
      () => proofFile(17, { change: () => Object.values(parts(18)).join("\n") }),
      /does not lead/,
    ],
    [
      "a changed personal part",
      () => proofFile(17, { change: (event) => event.replace("/admin/orders", "/public") }),
      /the personal part of the event, or its salt, is not what the event commits to/,
    ],
    [
      "a changed salt",
      () => proofFile(17, { change: (event) => event.replace(parts(17).salt, "0".repeat(32)) }),
      /or its salt, is not what/,
    ],
    [
      "a salt that takes over a byte of the line",
      () => proofFile(17, { change: (event) => event.replace(`${parts(17).salt}\n{`, `${parts(17).salt}7b\n`) }),
      /expected a salt and one line/,
    ],
    [
      "a changed commitment",
      () => proofFile(17, { redacted: true, change: (event) => event.replace(parts(17).commitment, "0".repeat(64)) }),
      /does not lead/,
    ],
    [
      "another time of storage",
      () => proofFile(17, { change: (event) => event.replace(STORED, STORED.replace("2026", "2025")) }),
      /does not lead/,
    ],
    [
      "no time of storage",
      () => proofFile(17, { change: (event) => event.split("\n").slice(0, 2).join("\n") }),
      /does not say when it was stored/,
    ],
    [
      "a salt without the personal line",
      () => proofFile(17, { change: (event) => event.split("\n").slice(0, 4).join("\n") }),
      /is malformed/,
    ],
    ["a line too many in the event", () => proofFile(17, { change: (event) => `${event}\nx` }), /is malformed/],
    ["no extra line", (file) => file.replace(/^extra .*\n/m, ""), /the proof names no event/],
    ["no index", (file) => file.replace(/^index .*\n/m, ""), /third line is not an `index`/],
    ["an index with a leading zero", (file) => file.replace("index 16", "index 016"), /third line is not an `index`/],
    ["carriage returns", (file) => file.replaceAll("\n", "\r\n"), /not a proof, or only part/],
    ["the next version", (file) => file.replace("@v1", "@v2"), /not a proof/],
    ["54 hashes", (file) => file.replace("\n\n", `\n${hash.repeat(46)}\n`), /more than the path in any tree/],
    ["cut in the checkpoint", (file) => file.slice(0, -90), /no signature/],
  ];

  const table: string[] = [];

  it.each(forgeries)("refuses a forged proof: %s", async (what, forge, says) => {
    const file = await proofFile(17);
    const forged = await forge(file);
    expect(forged).not.toBe(file);
    expect(() => verifyProof(forged, keys)).toThrow(VerifyError);
    expect(() => verifyProof(forged, keys)).toThrow(says);
    const sentence = await Promise.resolve()
      .then(() => verifyProof(forged, keys))
      .catch(({ message }: Error) => message.replace(/\+[0-9a-f]{8}\b/g, "+…").replace(/[\w+/]{43}=/g, "…="));
    table.push(`| ${what} | ${sentence} |`);
  });

  it("are listed in docs/design/forged-proofs.md with the sentence that refuses them", async () => {
    const page = `# Forged proofs, and the sentence that refuses each

The test that proves this page also writes it: \`packages/verify/src/proof.test.ts\`. "…" stands for what differs from run to run.

| the proof has | seclog verify-proof reports |
|---|---|
${table.join("\n")}
`;
    expect(table).toHaveLength(forgeries.length);
    await expect(page).toMatchFileSnapshot("../../../docs/design/forged-proofs.md");
  });

  it("refuses a proof with any byte changed before the line of an unnamed witness", async () => {
    const file = await proofFile(17);
    // The witness is not named, so its signature is not verified.
    const end = file.lastIndexOf("\u2014");
    for (let i = 0; i < end; i++) {
      const changed = `${file.slice(0, i)}${file[i] === "B" ? "C" : "B"}${file.slice(i + 1)}`;
      expect(() => verifyProof(changed, keys), `byte ${i}`).toThrow(VerifyError);
    }
  });
});
