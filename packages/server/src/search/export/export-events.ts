/** Exports the events that match a filter into the files of a folder, or to a writer of the caller's. */
import type { Database } from "../../database/reader.ts";
import type { RowKey } from "../event-rows.ts";
import type { EventFilter } from "../filter.ts";
import { EXPORT_FORMATS, type ExportFormat } from "./export-formats.ts";
import { type ExportManifest, type ExportSplit, writeManifest } from "./manifest.ts";
import { PartWriter } from "./part-writer.ts";
import { rowOf, storedEvents } from "./stored-events.ts";

/** Where events are read. */
export interface ExportSource {
  /** The reader's connection URL. */
  readonly url: string;
  readonly database: Database;
  readonly filter: EventFilter;
}

/** Options of {@link exportToFolder}. */
export interface ExportOptions {
  readonly folder: string;
  /** A new manifest, or that of an export to continue. */
  readonly manifest: ExportManifest;
  /** Called after each chunk with the events so far, those of earlier files included. */
  readonly onProgress?: (rows: number) => void;
  readonly signal: AbortSignal;
}

/** The most rows that are printed between two looks at the signal. */
const MOST_ROWS = 1_000;

/** Writes the events to a caller, without files, at the caller's pace. Returns how many there were. */
export async function exportTo(
  source: ExportSource,
  format: string,
  write: (text: string) => Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  const { header = "" } = formatOf(format);
  const print = printerOf(formatOf(format));
  let rows = 0;
  if (header !== "") await write(header);
  for await (const found of storedEvents(source.url, source.database, source.filter, undefined, signal)) {
    signal.throwIfAborted();
    rows += found.rows.length;
    await write(found.rows.map(print).join(""));
  }
  return rows;
}

/**
 * Exports into a folder. After each file the manifest names it, so an export that was interrupted continues after the last
 * whole file, with what the log then has.
 *
 * @returns the manifest of the complete export
 */
export async function exportToFolder(source: ExportSource, options: ExportOptions): Promise<ExportManifest> {
  const { folder, onProgress, signal } = options;
  let { manifest } = options;
  const { request } = manifest;
  const format = formatOf(request.format);
  const print = printerOf(format);
  const cut = cutterOf(request.split);
  let open: { readonly writer: PartWriter; readonly slice: string; readonly first: RowKey; last: RowKey } | undefined;
  let rows = manifest.rows;

  const finish = async (): Promise<void> => {
    if (open === undefined) return;
    const { writer, first, last } = open;
    const part = { ...(await writer.finish()), first, last };
    open = undefined;
    manifest = { ...manifest, rows: manifest.rows + part.rows, parts: [...manifest.parts, part] };
    await writeManifest(folder, manifest);
  };

  try {
    await writeManifest(folder, manifest);
    const after = manifest.parts.at(-1)?.last;
    for await (const found of storedEvents(source.url, source.database, source.filter, after)) {
      for (let at = 0; at < found.rows.length; ) {
        signal.throwIfAborted();
        const slice = cut.sliceOf(found.keys[at]?.[0] ?? "");
        if (open !== undefined && (open.slice !== slice || open.writer.plainBytes >= cut.bytes)) await finish();
        const key = found.keys[at] as RowKey;
        if (open === undefined) {
          const name = partName(manifest.parts.length + 1, slice, format, request.gzip);
          open = { writer: new PartWriter(folder, name, request.gzip), slice, first: key, last: key };
          if (format.header !== undefined) await open.writer.write(format.header, 0);
        }
        let end = at;
        let text = "";
        while (end < found.rows.length && end - at < MOST_ROWS && cut.sliceOf(found.keys[end]?.[0] ?? "") === slice) {
          const row = found.rows[end];
          if (row !== undefined) text += print(row);
          end++;
        }
        await open.writer.write(text, end - at);
        open.last = found.keys[end - 1] as RowKey;
        rows += end - at;
        at = end;
      }
      onProgress?.(rows);
    }
    await finish();
  } catch (error) {
    open?.writer.abandon();
    throw error;
  }
  manifest = { ...manifest, finished_at: new Date().toISOString() };
  await writeManifest(folder, manifest);
  return manifest;
}

function printerOf({ print, quick }: ExportFormat): (cells: readonly string[]) => string {
  return (cells) => quick?.(cells) ?? print(rowOf(cells));
}

function formatOf(name: string): ExportFormat {
  const format = EXPORT_FORMATS[name];
  if (format === undefined) throw new Error(`the format ${name} does not exist`);
  return format;
}

/** Where one file ends and the next begins: at a size before compression, or where the time's beginning differs. */
function cutterOf(split: ExportSplit): { readonly bytes: number; readonly sliceOf: (time: string) => string } {
  if ("bytes" in split) return { bytes: split.bytes, sliceOf: () => "" };
  const length = { month: 7, day: 10, hour: 13 }[split.time];
  return {
    bytes: Number.POSITIVE_INFINITY,
    // A time that the calendar does not have is a slice of its own.
    sliceOf: (time) => (/^\d{4}-\d\d-\d\d \d\d:/.test(time) ? time.slice(0, length).replace(" ", "T") : "other"),
  };
}

function partName(number: number, slice: string, { ending }: ExportFormat, gzip: boolean): string {
  const time = slice === "" ? "" : `-${slice}`;
  return `events-${String(number).padStart(5, "0")}${time}.${ending}${gzip ? ".gz" : ""}`;
}
