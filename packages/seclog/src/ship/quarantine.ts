/** The records that a handler could not take: kept in a file, for handlers that have no quarantine of their own. */
import { join } from "node:path";
import { decodeEvent } from "../event/encode.ts";
import { openFile } from "../spool/files.ts";
import { type SpoolFs, syncDirectory } from "../spool/fs.ts";
import { withReserve } from "../spool/reserve.ts";
import type { QuarantinedRecord } from "./handler.ts";

/** The type of a quarantined event, when its bytes still say it. */
export function quarantinedType(record: QuarantinedRecord): string | undefined {
  try {
    return decodeEvent(record.record).type;
  } catch {
    return undefined;
  }
}

/**
 * A line of `quarantine.ndjson` in the spool's root, on disk when this returns: for handlers that have no quarantine of
 * their own. What a full disk or a crash left of another line is not continued.
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
    // Before anything is in it: whoever finds it empty cannot know whether its name is on disk.
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
