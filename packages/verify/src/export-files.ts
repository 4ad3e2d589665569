/**
 * Checks the files that `seclog export` wrote against their manifest. This shows that the files are those of that export,
 * and not that the log is what was sealed: for that, verify the log itself, or an event's proof.
 */
import { createHash } from "node:crypto";
import { createReadStream, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createGunzip } from "node:zlib";
import { InputError, type OpenedCheckpoint, openCheckpoint, type Vkey } from "./note.ts";
import { requireTrusted } from "./trust.ts";

const MANIFEST = "manifest.json";

/** What {@link verifyFiles} found. */
export interface FilesReport {
  readonly intact: boolean;
  /** What is wrong, each in a sentence. */
  readonly problems: readonly string[];
  readonly files: number;
  readonly rows: number;
  /** The SHA-256 of the manifest, which the log's event `log_export` names. */
  readonly manifest_sha256: string;
  /** The size of the log when the export began, as its checkpoint says; `null` without a key or a checkpoint. */
  readonly log_size: number | null;
}

/** Options of {@link verifyFiles}. */
export interface VerifyFilesOptions {
  /** The log's public keys: with them, the checkpoint of the manifest must be signed by one. @default none */
  readonly keys?: readonly Vkey[];
  /** The SHA-256 that the log's event `log_export` names. */
  readonly sha256?: string | undefined;
}

interface Part {
  readonly file: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Checks an export's folder: every file that the manifest names is there, is as long, has the same hash and as many events,
 * and no other file is.
 *
 * @throws InputError if the folder has no manifest that can be read
 */
export async function verifyFiles(
  folder: string,
  { keys = [], sha256 }: VerifyFilesOptions = {},
): Promise<FilesReport> {
  const { text, manifest } = readManifest(folder);
  const { parts, rows, finished_at, checkpoint } = manifest;
  const problems: string[] = [];
  const hash = createHash("sha256").update(text).digest("hex");
  if (sha256 !== undefined && sha256.toLowerCase() !== hash) {
    problems.push(`${MANIFEST} has the SHA-256 ${hash}, not ${sha256}: it is not the manifest that the log recorded`);
  }
  if (finished_at === null) problems.push("the export was interrupted: it lacks the events after its last file");
  const named = new Set([MANIFEST, ...parts.map(({ file }) => file)]);
  for (const file of readdirSync(folder)) {
    if (!named.has(file)) problems.push(`${JSON.stringify(file)} is not a file of the export`);
  }
  for (const part of parts) problems.push(...(await partProblems(folder, part)));
  const sum = parts.reduce((total, part) => total + part.rows, 0);
  if (sum !== rows) problems.push(`${MANIFEST} has ${rows} events, and its files ${sum}`);
  const signed = keys.length === 0 ? undefined : checkpointOf(checkpoint, keys, problems);
  return {
    intact: problems.length === 0,
    problems,
    files: parts.length,
    rows: sum,
    manifest_sha256: hash,
    log_size: signed?.size ?? null,
  };
}

interface Manifest {
  readonly parts: readonly Part[];
  readonly rows: number;
  readonly finished_at: string | null;
  readonly checkpoint: string | null;
}

function readManifest(folder: string): { readonly text: string; readonly manifest: Manifest } {
  const path = join(folder, MANIFEST);
  let text: string;
  let value: unknown;
  try {
    text = readFileSync(path, "utf8");
    value = JSON.parse(text);
  } catch (error) {
    throw new InputError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isManifest(value)) throw new InputError(`${path} is not the manifest of an export that this program knows`);
  return { text, manifest: value };
}

function isManifest(value: unknown): value is Manifest {
  if (typeof value !== "object" || value === null) return false;
  const { seclog, version, parts, rows, finished_at, checkpoint } = value as { readonly [member: string]: unknown };
  const isTextOrNull = (member: unknown): boolean => member === null || typeof member === "string";
  return (
    seclog === "export" &&
    version === 1 &&
    Number.isSafeInteger(rows) &&
    isTextOrNull(finished_at) &&
    isTextOrNull(checkpoint) &&
    Array.isArray(parts) &&
    parts.every(isPart)
  );
}

/** A name without a folder in it: the manifest may be a stranger's. */
function isPart(value: unknown): value is Part {
  if (typeof value !== "object" || value === null) return false;
  const { file, rows, bytes, sha256 } = value as { readonly [member: string]: unknown };
  return (
    typeof file === "string" &&
    /^[\w-][\w.:-]{0,200}$/.test(file) &&
    Number.isSafeInteger(rows) &&
    Number.isSafeInteger(bytes) &&
    typeof sha256 === "string"
  );
}

async function partProblems(folder: string, { file, rows, bytes, sha256 }: Part): Promise<readonly string[]> {
  const hash = createHash("sha256");
  let length = 0;
  try {
    for await (const chunk of createReadStream(join(folder, file)) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      length += chunk.length;
    }
  } catch (error) {
    return [`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`];
  }
  if (length !== bytes) return [`${file} has ${length} bytes, and the manifest says ${bytes}`];
  if (hash.digest("hex") !== sha256) return [`${file} was changed: its SHA-256 is not that of the manifest`];
  // A field of CSV may hold line ends. Its bytes are what the manifest says.
  const counted = /\.csv(?:\.gz)?$/.test(file) ? rows : await linesOf(join(folder, file));
  return counted === rows ? [] : [`${file} has ${counted} events, and the manifest says ${rows}`];
}

async function linesOf(path: string): Promise<number> {
  let lines = 0;
  const file = createReadStream(path);
  const text = path.endsWith(".gz") ? file.pipe(createGunzip()) : file;
  for await (const chunk of text as AsyncIterable<Buffer>) for (const byte of chunk) if (byte === 0x0a) lines++;
  return lines;
}

function checkpointOf(note: string | null, keys: readonly Vkey[], problems: string[]): OpenedCheckpoint | undefined {
  if (note === null) {
    problems.push("the manifest has no checkpoint: nothing was sealed when the export began");
    return undefined;
  }
  try {
    return requireTrusted(openCheckpoint(note, keys), keys, "the checkpoint of the manifest");
  } catch (error) {
    problems.push(
      `the checkpoint of the manifest cannot be trusted: ${error instanceof Error ? error.message : String(error)}`,
    );
    return undefined;
  }
}
