import { resolve } from "node:path";
import { SeclogError } from "../event/errors.ts";
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { type SpoolFs, spoolFs } from "../spool/fs.ts";
import { fillReserve, withReserve } from "../spool/reserve.ts";
import { MAX_SEGMENT_BYTES } from "../spool/segment.ts";
import { openRoot, unwritable } from "../spool/source.ts";
import { workerStarter } from "../start-worker.ts";
import { DiskPipeline, type DiskSpool } from "./disk-pipeline.ts";
import { MemoryPipeline } from "./memory-pipeline.ts";
import type { Pipeline, PipelineNews } from "./pipeline.ts";

/** Where a log keeps its events until every handler has them. */
export type SpoolOption = "memory" | SpoolDirectoryOptions;

/** A spool on disk. */
export interface SpoolDirectoryOptions {
  /**
   * A folder on a local disk that only this user may write to; made if it is missing (0700). All processes of an
   * application share it.
   */
  readonly directory: string;
  /**
   * The most bytes that the folder may take, for all processes that share it and what dead ones left. No event is taken when
   * less than 256 KiB of it are left: they are for the small files, and for a log's last events, which tell what was dropped.
   * Each process looks every 5 seconds what the others take, so where several write, it may be more for a moment. Must be the
   * same in all of them.
   * @default 2147483648 (2 GiB: about 3 million events)
   */
  readonly maxBytes?: number | undefined;
  /**
   * The size of one file. Room is freed by whole files.
   * @default 16777216
   */
  readonly segmentBytes?: number | undefined;
  /**
   * The most bytes that may wait in memory for a disk that refuses or stalls.
   * @default 33554432
   */
  readonly memoryBytes?: number | undefined;
}

/** {@link SpoolOption}, checked and complete. */
export type CheckedSpool = "memory" | DiskSpool;

/** @throws SeclogError `SECLOG_CONFIG` that names the key */
export function spoolOptions(spool: SpoolOption): CheckedSpool {
  if (spool === "memory") return spool;
  if (typeof spool !== "object" || spool === null) {
    throw configError("createSecurityLog", "spool", 'must be { directory: "./var/seclog" } or "memory"');
  }
  rejectUnknownOptions("spool", spool, ["directory", "maxBytes", "segmentBytes", "memoryBytes"]);
  const { directory } = spool;
  if (typeof directory !== "string" || directory === "") throw configError("spool", "directory", "must name a folder");
  const MiB = 1024 * 1024;
  const segmentBytes = wholeNumber("spool", "segmentBytes", spool.segmentBytes, {
    default: 16 * MiB,
    min: MiB,
    max: MAX_SEGMENT_BYTES,
  });
  return {
    // Once: a process may change its directory, and what it left must be found where it was recorded.
    directory: resolve(directory),
    segmentBytes,
    maxBytes: wholeNumber("spool", "maxBytes", spool.maxBytes, { default: 2048 * MiB, min: 2 * segmentBytes }),
    memoryBytes: wholeNumber("spool", "memoryBytes", spool.memoryBytes, {
      default: 32 * MiB,
      min: MiB,
      max: 1024 * MiB,
    }),
  };
}

/**
 * Opens a new source: its spool, and the shipper behind it.
 *
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY`; `SECLOG_CONFIG` when the shipper's thread has no file to run
 */
export function openPipeline(
  spool: CheckedSpool,
  sourceId: string,
  handlers: readonly SecurityEventHandler[],
  report: (news: PipelineNews) => void,
  fs: SpoolFs = spoolFs,
): Pipeline {
  if (spool === "memory") return new MemoryPipeline(sourceId, handlers, report);
  // Before anything is on the disk.
  workerStarter();
  try {
    openRoot(fs, spool.directory);
    const pipeline = withReserve(fs, spool.directory, () => new DiskPipeline(fs, spool, sourceId, handlers, report));
    fillReserve(fs, spool.directory);
    return pipeline;
  } catch (error) {
    throw error instanceof SeclogError ? error : unwritable(spool.directory, error);
  }
}
