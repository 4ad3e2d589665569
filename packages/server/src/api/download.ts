/** The events that match, as a file of any size: it is read from the database as fast as the client takes it. */
import { errorMessage } from "seclog";
import type { Database } from "../database/reader.ts";
import { exportTo } from "../search/export/export-events.ts";
import { EXPORT_FORMATS } from "../search/export/export-formats.ts";
import type { ExportRecord } from "../search/export/record-export.ts";
import { type EventFilter, filterText, parseFilter } from "../search/filter.ts";
import { readQuery } from "../search/filter-query.ts";

/** What is downloaded, and by what. */
export interface DownloadOptions {
  /** The reader's connection URL. */
  readonly url: string;
  readonly database: Database;
  readonly q: string | undefined;
  readonly since: string | undefined;
  readonly until: string | undefined;
  readonly format: string;
  /** Ends the query when the client leaves or the server closes. */
  readonly signal: AbortSignal;
  /** Records the export: if it fails at the start, nothing is exported. */
  readonly record: (record: ExportRecord) => Promise<void>;
  /** Receives what happens after the response has begun. */
  readonly onError: (error: unknown) => void;
  /** Called once, at the end, however it comes. */
  readonly onEnd: () => void;
}

/** The names of the formats. */
export const DOWNLOAD_FORMATS: readonly string[] = Object.keys(EXPORT_FORMATS);

/**
 * Starts the download. A failure of the database before the first row is an error of the request. A later one breaks the
 * connection off, so that a client does not take a part of the file for the whole.
 *
 * @throws SeclogError as the query, the record or the database fails
 */
export async function download(options: DownloadOptions): Promise<Response> {
  const { url, database, q, since, until, format, signal, record, onError, onEnd } = options;
  let ends = onEnd;
  try {
    const now = new Date();
    const filter = filterOf(q, since, until, now);
    const what = { format, filter: filterText(filter) };
    await record({ ...what, reason: "started" });
    const left = new AbortController();
    const ending = AbortSignal.any([signal, left.signal]);
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const encoder = new TextEncoder();
    const write = async (text: string): Promise<void> => {
      await writer.ready;
      writer.write(encoder.encode(text)).catch(() => {});
    };
    const done = exportTo({ url, database, filter }, format, write, ending).then(async (rows) => {
      await record({ ...what, reason: "finished", rows });
      await writer.close();
    });
    const reader = readable.getReader();
    const failed = done.catch((error: unknown) => {
      writer.abort(error).catch(() => {});
      return error;
    });
    const first = await reader.read();
    ends = () => {};
    void failed.then((error) => {
      if (error !== undefined && !ending.aborted) onError(errorMessage(error));
      onEnd();
    });
    return new Response(bodyOf(first, reader, left), { headers: headersOf(format, now) });
  } finally {
    ends();
  }
}

/** Up to the moment of the request, unless it says otherwise: what arrives meanwhile does not belong to it. */
function filterOf(q: string | undefined, since: string | undefined, until: string | undefined, now: Date): EventFilter {
  const times = parseFilter(
    { ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) },
    now,
  );
  return { ...times, until: times.until ?? now, ...(q === undefined ? {} : { query: readQuery(q, now) }) };
}

function headersOf(format: string, now: Date): { readonly [name: string]: string } {
  const ending = EXPORT_FORMATS[format]?.ending ?? "txt";
  const time = now.toISOString().slice(0, 19).replaceAll(":", "");
  const type = ending === "csv" ? "text/csv" : ending.endsWith("ndjson") ? "application/x-ndjson" : "text/plain";
  return {
    "content-type": `${type}; charset=utf-8`,
    "content-disposition": `attachment; filename="seclog-${time}Z.${ending}"`,
    // A proxy that collects the file before it passes it on would hide how fast the client is.
    "x-accel-buffering": "no",
  };
}

type Chunk = Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>["read"]>>;

/** The chunks, as fast as the client takes them. A client that leaves ends the query. */
function bodyOf(
  first: Chunk,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  left: AbortController,
): ReadableStream<Uint8Array> {
  let begun = false;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = begun ? await reader.read() : first;
        begun = true;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        left.abort(new Error("the client has left"));
        await reader.cancel();
      },
    },
    { highWaterMark: 0 },
  );
}
