/** Stores records that a handler could not take in a file, for handlers without a quarantine of their own. */
import { join } from "node:path";
import { decodeEvent } from "../event/encode.ts";
import { openFile } from "../spool/files.ts";
import { type SpoolFs, syncDirectory } from "../spool/fs.ts";
import { withReserve } from "../spool/reserve.ts";
import type { QuarantinedRecord } from "./handler.ts";

/** The type of a quarantined event, if its bytes still decode. */
export function quarantinedType(record: QuarantinedRecord): string | undefined {
  try {
    return decodeEvent(record.record).type;
  } catch {
    return undefined;
  }
}

/**
 * Appends a line to `quarantine.ndjson` in the spool's root, and returns once it is on disk. A line that a full disk or
 * a crash left incomplete is ended first.
 */
export function keepQuarantined(fs: SpoolFs, root: string, handler: string, record: QuarantinedRecord): void {
  const line = JSON.stringify({
    at: new Date().toISOString(),
    handler,
    source_id: record.source.id,
    seq: record.seq,
    reason: record.reason,
    record_base64: Buffer.from(record.record).toString("base64"),
  });
  const fd = withReserve(fs, root, () => openFile(fs, join(root, "quarantine.ndjson"), "append"));
  try {
    const { size } = fs.fstatSync(fd);
    // Before the first line: an empty file does not show whether its name is on disk.
    if (size === 0) syncDirectory(fs, root);
    const bytes = Buffer.from(`${size === 0 || endsLine(fs, fd, size) ? "" : "\n"}${line}\n`);
    for (let at = 0; at < bytes.length; ) {
      const from = at;
      at += withReserve(fs, root, () => fs.writeSync(fd, bytes, from, bytes.length - from));
    }
    fs.fdatasyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function endsLine(fs: SpoolFs, fd: number, size: number): boolean {
  const last = Buffer.alloc(1);
  fs.readSync(fd, last, 0, 1, size - 1);
  return last.toString() === "\n";
}
