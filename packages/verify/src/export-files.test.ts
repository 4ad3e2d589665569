import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TEST_SIGNER } from "#test/support/seal-log.ts";
import { formatCheckpoint, signNote } from "../../seclog/src/merkle/index.ts";
import { verifyFiles } from "./export-files.ts";
import { readVkey } from "./note.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-files-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Writes files and their manifest. Returns the manifest's hash. */
function write(files: { readonly [file: string]: Buffer }, more: object = {}): string {
  const parts = Object.entries(files).map(([file, content]) => {
    writeFileSync(join(folder, file), content);
    return { file, rows: 2, bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") };
  });
  const manifest = {
    seclog: "export",
    version: 1,
    rows: parts.length * 2,
    finished_at: "x",
    checkpoint: null,
    parts,
    ...more,
  };
  const text = JSON.stringify(manifest);
  writeFileSync(join(folder, "manifest.json"), text);
  return createHash("sha256").update(text).digest("hex");
}

const TWO = { "events-00001.ndjson": Buffer.from("{}\n{}\n"), "events-00002.ndjson.gz": gzipSync("{}\n{}\n") };

describe("verifyFiles()", () => {
  it("accepts the files that the manifest names", async () => {
    const sha256 = write({ ...TWO, "events-00003.csv": Buffer.from('"a\r\nb"\r\n1\r\n') });
    const report = await verifyFiles(folder, { sha256 });
    expect(report).toMatchObject({ intact: true, problems: [], files: 3, rows: 6, manifest_sha256: sha256 });
  });

  it.each([
    ["a changed file", () => writeFileSync(join(folder, "events-00001.ndjson"), "{}\n[]\n"), "was changed"],
    ["a longer file", () => writeFileSync(join(folder, "events-00001.ndjson"), "{}\n{}\n{}\n"), "has 9 bytes"],
    ["a missing file", () => rmSync(join(folder, "events-00001.ndjson")), "cannot be read"],
    ["another file", () => writeFileSync(join(folder, "events-00009.ndjson"), ""), "is not a file of the export"],
  ])("reports %s", async (_what, change, problem) => {
    write(TWO);
    change();
    const report = await verifyFiles(folder);
    expect(report.intact).toBe(false);
    expect(report.problems).toEqual([expect.stringContaining(problem)]);
  });

  it("reports another manifest, one that is incomplete, and one whose counts are wrong", async () => {
    write(TWO, { finished_at: null, rows: 5 });
    const { problems } = await verifyFiles(folder, { sha256: "0".repeat(64) });
    expect(problems).toEqual([
      expect.stringContaining("it is not the manifest that the log recorded"),
      expect.stringContaining("the export was interrupted"),
      "manifest.json has 5 events, and its files 4",
    ]);
    write({ "events-00001.ndjson": Buffer.from("{}\n{}\n{}\n") });
    rmSync(join(folder, "events-00002.ndjson.gz"));
    expect((await verifyFiles(folder)).problems).toEqual(["events-00001.ndjson has 3 events, and the manifest says 2"]);
  });

  it("believes a checkpoint only if the log's key has signed it", async () => {
    const keys = [readVkey(TEST_SIGNER.vkey)];
    const body = formatCheckpoint({ origin: TEST_SIGNER.name, size: 41, root: Buffer.alloc(32) });
    const checkpoint = signNote(body, [TEST_SIGNER]);
    write(TWO, { checkpoint });
    expect(await verifyFiles(folder, { keys })).toMatchObject({ intact: true, log_size: 41 });
    write(TWO, { checkpoint: checkpoint.replace("\n41\n", "\n42\n") });
    expect((await verifyFiles(folder, { keys })).problems).toEqual([expect.stringContaining("cannot be trusted")]);
    write(TWO);
    expect((await verifyFiles(folder, { keys })).problems).toEqual([expect.stringContaining("has no checkpoint")]);
  });

  it.each(["", "[]", '{"seclog":"export","version":2}', "../../etc/passwd", "a/b"])(
    "refuses the manifest %j",
    async (text) => {
      if (text.includes("/")) write(TWO, { parts: [{ file: text, rows: 0, bytes: 0, sha256: "" }] });
      else writeFileSync(join(folder, "manifest.json"), text);
      await expect(verifyFiles(folder)).rejects.toThrow(/manifest\.json (?:cannot be read|is not the manifest)/);
    },
  );
});
