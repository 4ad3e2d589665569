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
   * A folder on a local disk that only this user may write to; created if missing (0700). All processes of an
   * application share it.
   */
  readonly directory: string;
  /**
   * The most bytes that the folder may hold, over all processes that share it and what dead ones left. The last 256 KiB
   * are for small state files and a log's closing events, which report what was dropped: other events are refused
   * there. Each process checks the others' usage every 5 seconds, so several writers may exceed the limit briefly. Use
   * the same value in all of them.
   * @default 2147483648 (2 GiB: about 3 million events)
   */
  readonly maxBytes?: number | undefined;
  /**
   * The size of one file, in bytes. Space is freed in whole files.
   * @default 16777216
   */
  readonly segmentBytes?: number | undefined;
  /**
   * The most bytes that may wait in memory while the disk refuses or stalls.
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
    // Resolved once: a process may change its directory, and must still find what it has written.
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
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY`; `SECLOG_CONFIG` if the file of the shipper's thread is not found
 */
export function openPipeline(
  spool: CheckedSpool,
  sourceId: string,
  handlers: readonly SecurityEventHandler[],
  report: (news: PipelineNews) => void,
  fs: SpoolFs = spoolFs,
): Pipeline {
  if (spool === "memory") return new MemoryPipeline(sourceId, handlers, report);
  // Before anything is on disk: it throws if a bundle left the thread's file out.
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
