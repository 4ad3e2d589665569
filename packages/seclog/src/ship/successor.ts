/**
 * The source under which a handler's store continues after an attacker has seized the source itself.
 *
 * A store keeps each source's position, and trusts every holder of the source's key. Another process that obtained it
 * (the spool can be read, a server logs parameters) can move the position over events that the store does not have. A
 * handler that finds this reports it (`SECLOG_SOURCE_SEIZED`), and what is stored of the source ends there, at the
 * number `after`. The event behind it becomes number 1 of the successor, and so on: the same events, with the same ids
 * and times, under another source and number. The spool, its cursors and the other handlers keep the source's own
 * numbers.
 *
 * A successor's id and key are made of the source's key, the handler, and the first event that it has, with the random
 * digits of that event's id: the old key alone does not reveal them, and a process that dies before the successor is on
 * disk makes the same one again, of which the store then knows what it has. It is kept in the source's folder before
 * the store learns of it, since that event is deleted from the spool once it is stored.
 */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { decodeEvent, encodeEvent } from "../event/encode.ts";
import { openFile, readSmallFile } from "../spool/files.ts";
import { assertAbsent, type SpoolFs, syncDirectory } from "../spool/fs.ts";
import { withReserve } from "../spool/reserve.ts";
import { type BatchSource, type EventBatch, eventBatch, type QuarantinedRecord } from "./handler.ts";

/** Another source for the events of a source from a number on. */
export interface Successor {
  readonly id: string;
  readonly key: string;
  /** The last number that is stored under the source's own id. */
  readonly after: number;
}

/**
 * The successor of a source, or of its successor when that one was seized, too.
 *
 * @param first the record of event `after + 1`
 */
export function successorOf(
  { id, key }: Pick<BatchSource, "id" | "key">,
  handler: string,
  after: number,
  first: Uint8Array,
): Successor {
  const digest = createHash("sha256")
    .update(`seclog successor\n${key}\n${handler}\n${after}\n`)
    .update(first)
    .digest("hex");
  // A UUIDv7 with the old one's time: it is sorted beside it.
  const variant = "89ab"[Number.parseInt(digest.slice(3, 4), 16) & 3];
  const random = `7${digest.slice(0, 3)}-${variant}${digest.slice(4, 7)}-${digest.slice(7, 19)}`;
  return { id: `${id.slice(0, 14)}${random}`, key: digest.slice(32), after };
}

/** A batch of the source's, as its successor's. */
export function succeedBatch(successor: Successor, batch: EventBatch): EventBatch {
  const firstSeq = batch.firstSeq - successor.after;
  const records = batch.records.map((record, index) => succeedRecord(successor, record, firstSeq + index));
  return eventBatch(succeedSource(successor, batch.source), firstSeq, records);
}

/** A record for the quarantine, in its place in the successor; its bytes stay as they were found. */
export function succeedQuarantined(successor: Successor, record: QuarantinedRecord): QuarantinedRecord {
  return { ...record, source: succeedSource(successor, record.source), seq: record.seq - successor.after };
}

/** The source's rights and position, as its successor's. */
export function succeedSource({ id, key, after }: Successor, source: BatchSource): BatchSource {
  return { ...source, id, key, acknowledged: Math.max(0, source.acknowledged - after) };
}

function succeedRecord({ id }: Successor, record: Uint8Array, seq: number): Uint8Array {
  try {
    return Buffer.from(encodeEvent({ ...decodeEvent(record), sourceId: id, seq }));
  } catch {
    // Not an event that this program reads: the handler refuses it, and puts the bytes in quarantine as they are.
    return record;
  }
}

/** Reads what {@link keepSuccessor} kept for a handler; `undefined` when the source has no successor there. */
export function readSuccessor(fs: SpoolFs, directory: string, handler: string): Successor | undefined {
  const name = fileName(handler);
  let text: string;
  try {
    text = readSmallFile(fs, join(directory, name)).toString("latin1");
  } catch (error) {
    assertAbsent(fs, directory, name, error);
    return undefined;
  }
  const [, after, id, key] = [...text.matchAll(/^(\d{1,15}) ([0-9a-f-]{36}) ([0-9a-f]{32})\n/gm)].at(-1) ?? [];
  if (after === undefined || id === undefined || key === undefined) return undefined;
  return { id, key, after: Number(after) };
}

/** Keeps it, as the file's last line. It is on disk when this returns. */
export function keepSuccessor(fs: SpoolFs, directory: string, handler: string, successor: Successor): void {
  withReserve(fs, dirname(directory), () => append(fs, directory, fileName(handler), successor));
}

function append(fs: SpoolFs, directory: string, name: string, { after, id, key }: Successor): void {
  const fd = openFile(fs, join(directory, name), "append");
  try {
    // On a line of its own, whatever a crash has left.
    const text = Buffer.from(`\n${after} ${id} ${key}\n`);
    if (fs.writeSync(fd, text, 0, text.length) !== text.length) throw new Error("short write of a successor");
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  syncDirectory(fs, directory);
}

function fileName(handler: string): string {
  return `successor.${handler}`;
}
