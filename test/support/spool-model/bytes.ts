/** The bytes of a source's segments: as written, as they are now, and as they are damaged. */
import { join } from "node:path";
import {
  decodeHeader,
  FRAME_BYTES,
  HEADER_BYTES,
  readFrame,
  segmentNumber,
} from "../../../packages/seclog/src/spool/segment.ts";
import type { ModelFs } from "../model-fs.ts";
import { HANDLERS, type Source } from "./source.ts";
import type { Step } from "./steps.ts";

/** A frame as it was written, and its present state. */
export interface Copy {
  readonly segment: number;
  /** `gone` looks like an event that was being written when its process died: cut, or zeros to the end. */
  readonly state: "intact" | "payload damaged" | "head damaged" | "gone";
}

/** For each number, the newest segment that received it whole, and whether its bytes are unchanged. */
export function copiesOf(fs: ModelFs, source: Source): Map<number, Copy> {
  const copies = new Map<number, Copy>();
  for (const name of fs.names(source.directory)) {
    const segment = segmentNumber(name);
    const file = fs.file(join(source.directory, name));
    if (segment === undefined || file === undefined) continue;
    const { intact, cache } = file;
    for (let at = HEADER_BYTES; at < intact.length; ) {
      const frame = readFrame(intact, at);
      if (frame.kind !== "valid") break;
      const same = (from: number, to: number): boolean => intact.subarray(from, to).equals(cache.subarray(from, to));
      const whole = same(at, frame.end);
      const gone = cache.length < frame.end || cache.subarray(at).every((byte) => byte === 0);
      const damage = gone ? "gone" : same(at, at + FRAME_BYTES) ? "payload damaged" : "head damaged";
      copies.set(frame.seq, { segment, state: whole ? "intact" : damage });
      at = frame.end;
    }
  }
  return copies;
}

/** The numbers that some segment has whole, apart from deliberate damage. */
export function wholeEvents(
  fs: ModelFs,
  source: Source,
  where: "cache" | "disk",
  of: (segment: number) => boolean,
): Set<number> {
  const whole = new Set<number>();
  for (const name of fs.names(source.directory)) {
    const segment = segmentNumber(name);
    const file = fs.file(join(source.directory, name));
    if (segment === undefined || file === undefined || !of(segment)) continue;
    for (let at = HEADER_BYTES; at < file.intact.length; ) {
      const frame = readFrame(file.intact, at);
      if (frame.kind !== "valid") break;
      const there = where === "cache" ? file.intact : file.intactDisk;
      if (file.intact.subarray(at, frame.end).equals(there.subarray(at, frame.end))) whole.add(frame.seq);
      at = frame.end;
    }
  }
  return whole;
}

/** Whether the oldest segment's header is readable, which says where the segment begins. */
export function firstHeaderIsWhole(fs: ModelFs, { directory }: Source): boolean {
  const name = fs.names(directory).find((each) => segmentNumber(each) !== undefined);
  const file = name === undefined ? undefined : fs.file(join(directory, name));
  return file === undefined || decodeHeader(file.cache) !== undefined;
}

/** Runs a step `damage events`. */
export function damageEvents(
  fs: ModelFs,
  sources: readonly Source[],
  { file, count, spare, at }: Step & { do: "damage events" },
): void {
  const paths = sources.flatMap(({ directory }) =>
    fs
      .names(directory)
      .filter((name) => segmentNumber(name) !== undefined)
      .map((name) => join(directory, name)),
  );
  const path = paths[file % Math.max(1, paths.length)] ?? "";
  const frames: { at: number; end: number }[] = [];
  const intact = fs.file(path)?.intact ?? Buffer.alloc(0);
  for (let from = HEADER_BYTES; from < intact.length; ) {
    const frame = readFrame(intact, from);
    if (frame.kind !== "valid") break;
    frames.push({ at: from, end: frame.end });
    from = frame.end;
  }
  for (const frame of frames.slice(0, frames.length - spare).slice(-count)) {
    fs.damage(path, (bytes) => {
      const offset = Math.min(frame.at + at, frame.end - 1);
      if (offset < bytes.length) bytes[offset] = (intact[offset] ?? 0) ^ 0x40;
      return bytes;
    });
  }
}

/** Runs a step `damage`, and notes in the model what can no longer be determined. */
export function damage(
  fs: ModelFs,
  sources: readonly Source[],
  { how, file, at, length }: Step & { do: "damage" },
): void {
  const paths = sources.flatMap((source) =>
    fs
      .names(source.directory)
      .filter((name) => !name.startsWith("owner."))
      .map((name) => ({ source, name, path: join(source.directory, name) })),
  );
  const chosen = paths[file % Math.max(1, paths.length)];
  if (chosen === undefined) return;
  const { source, name, path } = chosen;
  const size = fs.file(path)?.cache.length ?? 0;
  const offset = Math.floor(at * size);
  if (name.startsWith("cursor.")) {
    const handler = HANDLERS.findIndex((other) => name.startsWith(`cursor.${other}`));
    if (handler >= 0) source.forgotten[handler as 0 | 1] = true;
  } else if (how === "truncate") {
    // Not in a file that is still being appended to: its damage could no longer be located.
    if (source.alive) return;
    source.cut = true;
  }
  // Only intact bytes: damage that undoes damage would be none, and a reader may have reported it already.
  const intact = fs.file(path)?.intact ?? Buffer.alloc(0);
  fs.damage(path, (bytes) => {
    if (how === "truncate") return bytes.subarray(0, Math.min(bytes.length, offset));
    for (let byte = offset; byte < Math.min(bytes.length, how === "zero" ? offset + length : offset + 1); byte++) {
      if (bytes[byte] === intact[byte]) bytes[byte] = how === "zero" ? 0 : (intact[byte] ?? 0) ^ (1 << (length % 8));
    }
    return bytes;
  });
  // A chunk that was already read is in the reader's memory, and stays as it was.
}
