import { readCursor, writeCursor } from "../spool/cursor.ts";
import type { SpoolFs } from "../spool/fs.ts";
import { SpoolReader } from "../spool/reader.ts";
import { deleteShipped } from "../spool/source.ts";
import type { RecordReader, ShipSource } from "./lane.ts";

/** What makes a source on disk shippable. */
export interface FileSourceOptions {
  readonly fs: SpoolFs;
  readonly directory: string;
  readonly id: string;
  readonly epoch: number;
  readonly key: string;
  /** The last number that is on disk; gives `undefined` when its process is dead. */
  readonly limit: () => number | undefined;
  /** How much of what may go may really go. @default all */
  readonly releasable?: (seq: number) => number;
  /** Told how many bytes of segments were deleted. */
  readonly freed: (bytes: number) => void;
}

/** A source in the spool, living or dead, for the shipper. */
export function fileSource(options: FileSourceOptions): ShipSource {
  const { fs, directory, id, epoch, key, limit } = options;
  return {
    id,
    epoch,
    key,
    limit,
    openReader: (afterSeq): RecordReader => new SpoolReader(fs, directory, afterSeq),
    loadCursor: (handler) => readCursor(fs, directory, handler),
    saveCursor: (handler, seq) => writeCursor(fs, directory, handler, seq),
    release: (seq) => {
      const bytes = deleteShipped(fs, directory, options.releasable?.(seq) ?? seq);
      if (bytes > 0) options.freed(bytes);
    },
  };
}
