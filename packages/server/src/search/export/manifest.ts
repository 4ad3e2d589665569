/** The manifest of an export: what was asked for, and what each of its files holds. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage, SeclogError } from "seclog";
import { makeFolder } from "../../files/make-folder.ts";
import type { RowKey } from "../event-rows.ts";
import type { FilterOptions } from "../filter.ts";
import type { WrittenPart } from "./part-writer.ts";

/** The file of the manifest, in the export's folder. */
const MANIFEST = "manifest.json";

/** The version of the manifest that this program writes and reads. */
const VERSION = 1;

/** How an export is cut into files. */
export type ExportSplit = { readonly bytes: number } | { readonly time: "hour" | "day" | "month" };

/** What was asked for. An export that is resumed continues with the same. */
export interface ExportRequest {
  readonly format: string;
  readonly gzip: boolean;
  readonly split: ExportSplit;
  /** The query, and the options of the filter, as typed; relative times count from `at`. */
  readonly query: string;
  readonly options: FilterOptions;
  readonly at: string;
}

/** A file of the export, and the positions of its first and its last event. */
export interface ExportPart extends WrittenPart {
  readonly first: RowKey;
  readonly last: RowKey;
}

/** The manifest. */
export interface ExportManifest {
  readonly seclog: "export";
  readonly version: number;
  readonly request: ExportRequest;
  /** The filter in words. */
  readonly filter: string;
  readonly started_at: string;
  /** `null` until the export is complete. */
  readonly finished_at: string | null;
  readonly rows: number;
  readonly parts: readonly ExportPart[];
  /** The log's newest signed checkpoint when the export began; `null` if nothing was sealed. */
  readonly checkpoint: string | null;
}

/** Makes the folder of a new export. @throws SeclogError `SECLOG_CONFIG` if it is in use */
export function newExportFolder(folder: string): void {
  let found: readonly string[];
  try {
    makeFolder(folder);
    found = readdirSync(folder);
  } catch (error) {
    throw new SeclogError("SECLOG_CONFIG", `--out ${folder} cannot be used: ${errorMessage(error)}`, { cause: error });
  }
  if (found.includes(MANIFEST)) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `--out ${folder} has an export: continue it with --resume, or name a new folder`,
    );
  }
  if (found.length > 0) throw new SeclogError("SECLOG_CONFIG", `--out ${folder} is not empty: name a new folder`);
}

/** A new manifest. */
export function newManifest(request: ExportRequest, filter: string, checkpoint: string | null): ExportManifest {
  return {
    seclog: "export",
    version: VERSION,
    request,
    filter,
    started_at: request.at,
    finished_at: null,
    rows: 0,
    parts: [],
    checkpoint,
  };
}

/** The manifest in a folder. @throws SeclogError `SECLOG_CONFIG` if there is none, or a newer program wrote it */
export function readManifest(folder: string): ExportManifest {
  const path = join(folder, MANIFEST);
  let manifest: ExportManifest;
  try {
    manifest = JSON.parse(readFileSync(path, "utf8")) as ExportManifest;
  } catch (error) {
    throw new SeclogError("SECLOG_CONFIG", `--resume finds no export: ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  if (manifest.seclog !== "export" || manifest.version !== VERSION) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `--resume: ${path} is not the manifest of an export that this program can continue`,
    );
  }
  return manifest;
}

/** Replaces the manifest: a crash leaves the old one or the new one. */
export async function writeManifest(folder: string, manifest: ExportManifest): Promise<void> {
  const path = join(folder, MANIFEST);
  writeFileSync(`${path}.tmp`, manifestText(manifest), { mode: 0o600 });
  const handle = await open(`${path}.tmp`, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.tmp`, path);
}

/** The SHA-256 of the manifest's file: it covers every file of the export. */
export function manifestHash(manifest: ExportManifest): string {
  return createHash("sha256").update(manifestText(manifest)).digest("hex");
}

function manifestText(manifest: ExportManifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
