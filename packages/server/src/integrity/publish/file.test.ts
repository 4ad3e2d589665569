import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatNote, formatPrivateKey, openNote, parseNote, parsePrivateKey } from "seclog/merkle";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MemoryTree, type SealedCheckpoint, seed } from "#test/support/sealed-tree.ts";
import { filePublisher } from "./file.ts";
import type { PublishContext } from "./publisher.ts";

// Contains a two-byte character, which a crash can cut in half.
const signer = parsePrivateKey(formatPrivateKey("log.example/b\u00fccher", seed()));
const next = parsePrivateKey(formatPrivateKey("log.example/b\u00fccher", seed()));
const tree = new MemoryTree(12);
let folder: string;
let count = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-append-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fresh = (): string => join(folder, `checkpoints-${count++}`);
const contextOf = (newest: number): PublishContext => ({
  tiles: tree.tiles,
  newestSize: async () => newest,
  cosign: async () => {},
});
const append = async (path: string, checkpoint: SealedCheckpoint, newest = tree.size): Promise<void> =>
  await filePublisher(path).publish(checkpoint, contextOf(newest), AbortSignal.timeout(10_000));
/** A checkpoint with the signatures of two keys, as after a rotation. */
const both = (size: number): SealedCheckpoint => {
  const checkpoint = tree.checkpoint(signer, size);
  const { text, signatures } = parseNote(checkpoint.note);
  return { ...checkpoint, note: formatNote({ text, signatures: [...signatures, next.sign(text)] }) };
};

describe("filePublisher()", () => {
  it("appends notes with an empty line between them, readable by everyone, and none twice", async () => {
    const path = fresh();
    for (const size of [3, 3, 5, 5, 12]) await append(path, tree.checkpoint(signer, size));
    const notes = [3, 5, 12].map((size) => tree.checkpoint(signer, size).note);
    expect(readFileSync(path, "utf8")).toBe(notes.join("\n"));
    expect(statSync(path).mode & 0o777 & ~process.umask()).toBe(0o644 & ~process.umask());
  });

  it("removes a note that a crash cut short, wherever the cut is, and continues", async () => {
    const bytes = Buffer.from(`${both(3).note}\n${both(5).note}`);
    const path = fresh();
    for (let length = 0; length <= bytes.length; length++) {
      writeFileSync(path, bytes.subarray(0, length));
      await append(path, both(5));
      const notes = readFileSync(path, "utf8").split(/\n\n(?=log)/);
      // If one of two signatures was cut, the other one suffices.
      const opened = notes.map((note) => openNote(note.replace(/\n*$/, "\n"), [signer, next]).text.split("\n")[1]);
      expect(opened, `cut at ${length}`).toEqual(opened.length === 1 ? ["5"] : ["3", "5"]);
      const lost = length < Buffer.byteLength(both(3).note) - 1 && opened.length === 1;
      expect(lost || opened.length === 2, `cut at ${length}`).toBe(true);
    }
  });

  it("removes zeros left by a power loss", async () => {
    const path = fresh();
    writeFileSync(path, `${tree.checkpoint(signer, 3).note}\nlog.ex${"\0".repeat(4096)}`);
    await append(path, tree.checkpoint(signer, 5));
    expect(readFileSync(path, "utf8")).toBe([3, 5].map((size) => tree.checkpoint(signer, size).note).join("\n"));
  });

  it.each([
    ["a foreign file", "root:x:0:0::/root:/bin/sh\n"],
    ["a note with text below it", `${tree.checkpoint(signer, 3).note}\nremember the milk\n`],
    ["another log's file, cut short", `${tree.checkpoint(signer, 3).note}\nother.example\n3\nAAA`],
    ["a large foreign file", "x\n".repeat(200_000)],
  ])("does not touch %s", async (_, content) => {
    const path = fresh();
    writeFileSync(path, content);
    await expect(append(path, tree.checkpoint(signer, 5))).rejects.toMatchObject({ code: "SECLOG_PUBLISH" });
    expect(readFileSync(path, "utf8")).toBe(content);
  });

  it("refuses a folder and a pipe", async () => {
    await expect(append(folder, tree.checkpoint(signer, 5))).rejects.toThrow("EISDIR");
    await expect(append("/dev/null", tree.checkpoint(signer, 5))).rejects.toThrow("is not a regular file");
  });

  it("finds the last note of a large file", async () => {
    const path = fresh();
    const note = tree.checkpoint(signer, 3).note;
    writeFileSync(path, `${`${note}\n`.repeat(2_000)}${tree.checkpoint(signer, 5).note}`);
    const { size } = statSync(path);
    await append(path, tree.checkpoint(signer, 5));
    expect(statSync(path).size).toBe(size);
    await append(path, tree.checkpoint(signer, 12));
    expect(readFileSync(path, "utf8").endsWith(`\n\n${tree.checkpoint(signer, 12).note}`)).toBe(true);
  });

  it("raises the alarm if the file has seen a longer or a different log than the database", async () => {
    const path = fresh();
    await append(path, tree.checkpoint(signer, 12));
    const before = readFileSync(path, "utf8");
    await expect(append(path, tree.checkpoint(signer, 5), 5)).rejects.toMatchObject({
      code: "SECLOG_ROLLBACK",
      message: expect.stringContaining("with 12 leaves, and the database has 5"),
    });
    const other = new MemoryTree(12, "other");
    await expect(append(path, other.checkpoint(signer))).rejects.toThrow("history was rewritten");
    // Another sealer was faster: neither an alarm nor a write.
    await append(path, tree.checkpoint(signer, 5), 12);
    expect(readFileSync(path, "utf8")).toBe(before);
  });
});
