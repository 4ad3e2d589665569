import { execFileSync, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeEvent } from "seclog";
import {
  formatCheckpoint,
  formatTlogProof,
  inclusionProof,
  leafHash,
  type NoteSigner,
  signNote,
  TreeAppender,
  tilePath,
} from "seclog/merkle";
import { exampleEvent } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../scripts/files.js";
import { newKey, ORIGIN } from "./support/naive-sealer.ts";

const page = readFileSync(join(root, "docs/design/verify-it-yourself.md"), "utf8");
const [python = "", key = "", signature = "", ...others] = [
  ...page.matchAll(/(?<!<!-- test: not run -->\n)^```sh\n(.*?)^```$/gms),
].map(([, block = ""]) => block);

const missing = ["python3", "openssl", "sha256sum", "base64"].filter(
  (program) => spawnSync(program, ["--version"]).error !== undefined,
);
if (missing.length > 0) console.warn(`docs/design/verify-it-yourself.md was NOT run: ${missing.join(", ")} is missing`);

const log = newKey();
const SIZE = 70;

/** A proof of the event with this number, in a log of {@link SIZE} events. */
async function proofOf(seq: number, signers: readonly NoteSigner[], redacted = false): Promise<string> {
  const tree = new TreeAppender();
  let event: string[] = [];
  for (let n = 1; n <= SIZE; n++) {
    const [core = "", personal = ""] = encodeEvent(exampleEvent(n)).split("\n");
    const salt = randomBytes(16);
    const commitment = createHash("sha256").update(salt).update(personal).digest("hex");
    const stored = '{"created_at":"2026-11-22T19:43:22.123456Z","retention":"standard"}';
    tree.append(leafHash(`${core}\n${commitment}\n${stored}`));
    if (n === seq) event = [core, commitment, stored, ...(redacted ? [] : [salt.toString("hex"), personal])];
  }
  const tiles = new Map(tree.take().map((tile) => [tilePath(tile), tile.hashes]));
  const proof = await inclusionProof(seq - 1, SIZE, async (names) =>
    names.map((name) => tiles.get(tilePath(name)) as Uint8Array),
  );
  const checkpoint = signNote(formatCheckpoint({ origin: ORIGIN, size: SIZE, root: tree.root() }), signers);
  return formatTlogProof({ extra: Buffer.from(event.join("\n")), index: seq - 1, proof, checkpoint });
}

describe.skipIf(missing.length > 0)("docs/design/verify-it-yourself.md", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "seclog-yourself-"));
    writeFileSync(join(folder, "log.vkey"), `${log.vkey}\n`);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const run = (proof: string, ...blocks: string[]): string => {
    writeFileSync(join(folder, "event.tlog-proof"), proof);
    const shell = ["-eu", "-c", blocks.join("\n")];
    return execFileSync("sh", shell, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  };

  it("has three blocks that are run", () => {
    expect(others).toEqual([]);
    expect(python).toContain("python3");
    expect(key).toContain("sha256sum");
    expect(signature).toContain("openssl");
  });

  it("proves a real event, whole or without its personal part", async () => {
    for (const seq of [1, 17, 64, 65, SIZE]) {
      const printed = run(
        await proofOf(seq, [newKey("w.example", "cosignature"), newKey(), log]),
        python,
        key,
        signature,
      );
      expect(printed).toContain(`This event is in the tree of ${SIZE} leaves of ${ORIGIN}`);
      expect(printed).toContain(encodeEvent(exampleEvent(seq)));
      expect(printed).toContain(`The key is ${ORIGIN}`);
      expect(printed).toContain("Signature Verified Successfully");
    }
    expect(run(await proofOf(17, [log], true), python, key, signature)).toContain("(without its personal part)");
  });

  it("refuses a proof that was changed", async () => {
    const proof = await proofOf(17, [log]);
    const [extra = ""] = /(?<=^extra ).*$/m.exec(proof) ?? [];
    const event = Buffer.from(extra, "base64").toString();
    const withEvent = (text: string): string => proof.replace(extra, Buffer.from(text).toString("base64"));
    const forgeries: readonly [string, RegExp][] = [
      [withEvent(event.replace("authz_fail", "authn_fail")), /does not lead to the root/],
      [withEvent(event.replace("/admin", "/adnim")), /the personal part is not what the event commits to/],
      [proof.replace("index 16", "index 17"), /does not lead to the root/],
      [proof.replace("index 16", "index 70"), /the tree has no such leaf/],
      [proof.replace("\n\n", `\n${randomBytes(32).toString("base64")}\n\n`), /too long/],
      [proof.replace(/\n[^\n]+\n\n/, "\n\n"), /too short/],
      [proof.replace(/^(index 16\n).*$/m, `$1${randomBytes(32).toString("base64")}`), /does not lead to the root/],
      [proof.replace("@v1", "@v2"), /not a proof/],
    ];
    for (const [forged, says] of forgeries) {
      expect(forged).not.toBe(proof);
      expect(() => run(forged, python)).toThrow(says);
    }
    // An invalid signature, another log's proof, and a key under another name.
    const flipped = proof.replace(/(?<=^\u2014 \S+ .{20})./m, (character) => (character === "A" ? "B" : "A"));
    expect(() => run(flipped, python, key, signature)).toThrow();
    const stranger = await proofOf(17, [newKey()]);
    expect(() => run(stranger, python, key, signature)).toThrow();
    writeFileSync(join(folder, "log.vkey"), log.vkey.replace(ORIGIN, "other.example"));
    expect(() => run(proof, python, key)).toThrow();
    writeFileSync(join(folder, "log.vkey"), `${log.vkey}\n`);
  });
});
