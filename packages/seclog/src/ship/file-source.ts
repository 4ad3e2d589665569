import { SeclogError } from "../event/errors.ts";
import { readCursor, writeCursor } from "../spool/cursor.ts";
import type { SpoolFs } from "../spool/fs.ts";
import { SpoolReader } from "../spool/reader.ts";
import { firstSeqOf, readHeader, segmentNumbers } from "../spool/segment-scan.ts";
import { deleteShipped } from "../spool/source.ts";
import type { RecordReader, ShipSource } from "./ship-source.ts";
import { keepSuccessor, readSuccessor } from "./successor.ts";

/** What makes a source on disk shippable. */
export interface FileSourceOptions {
  readonly fs: SpoolFs;
  readonly directory: string;
  readonly id: string;
  readonly epoch: number;
  readonly key: string;
  /** The last number on disk; returns `undefined` if its process is dead. */
  readonly limit: () => number | undefined;
  /** Limits what may be released. @default everything */
  readonly releasable?: (seq: number) => number;
  /** The number of the newest segment that a living process will write nothing to any more. @default 0 */
  readonly closed?: () => number;
  /** Receives how many bytes of segments were deleted. */
  readonly freed: (bytes: number) => void;
  /** Receives damage that costs no event. */
  readonly warn: (warning: SeclogError) => void;
}

/** A source in the spool, living or dead, for the shipper. */
export function fileSource(options: FileSourceOptions): ShipSource {
  const { fs, directory, id, epoch, key, limit } = options;
  const readers = new Set<SpoolReader>();
  return {
    id,
    epoch,
    key,
    limit,
    openReader: (afterSeq): RecordReader => {
      const reader = new SpoolReader(fs, directory, afterSeq);
      readers.add(reader);
      return {
        seek: (seq) => reader.seek(seq),
        read: (last, maxRecords, maxBytes) => reader.read(last, maxRecords, maxBytes),
        close: () => {
          readers.delete(reader);
          reader.close();
        },
      };
    },
    loadCursor: (handler) => {
      const { seq, state } = readCursor(fs, directory, handler);
      if (state !== "damaged") return seq;
      // What is deleted the handler had: it would look like damage. Read before the folder is: what comes meanwhile is
      // there.
      const last = limit();
      const deleted = firstKept(fs, directory, (last ?? 0) + 1) - 1;
      if (deleted <= seq) return seq;
      options.warn(
        new SeclogError(
          "SECLOG_SPOOL_CORRUPT",
          `the cursor of ${handler} in ${directory} is damaged: resuming at event ${deleted + 1}, the first that is not deleted`,
        ),
      );
      return deleted;
    },
    saveCursor: (handler, seq) => writeCursor(fs, directory, handler, seq),
    loadSuccessor: (handler) => readSuccessor(fs, directory, handler),
    saveSuccessor: (handler, successor) => keepSuccessor(fs, directory, handler, successor),
    release: (seq) => {
      deleteShipped(fs, directory, options.releasable?.(seq) ?? seq, options.freed, options.closed?.());
      for (const reader of readers) reader.closeDeleted();
    },
  };
}

/**
 * The first number that was not deleted with a segment; a rewrite may begin before the oldest remaining segment does.
 * If that one's header is unreadable, nothing counts as deleted: better to report damage than to skip events.
 *
 * @param next the first number that may be in no segment yet
 */
function firstKept(fs: SpoolFs, directory: string, next: number): number {
  const [oldest, ...later] = segmentNumbers(fs, directory, true);
  if (oldest === undefined) return next;
  const header = readHeader(fs, directory, oldest);
  if (header === undefined) return 1;
  return Math.min(header.firstSeq, ...later.flatMap((number) => firstSeqOf(fs, directory, number) ?? []));
}
