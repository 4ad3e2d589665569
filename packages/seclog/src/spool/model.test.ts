/**
 * The spool against a model of what it promises: random sequences of what an application, a shipper, a disk and a crash
 * do, on a file system that keeps POSIX's promises and no others (`test/support/model-fs.ts`).
 *
 * The model of a source is the list of its payloads, the number that was acknowledged as on disk, and for each handler
 * the number that it has. What is checked, at each step:
 *
 * - a handler is given every number once, in order, byte for byte as appended; a repetition only after its process ended;
 * - a number is reported as damaged only if its bytes were damaged, or if it was never acknowledged and its process died;
 * - what was acknowledged is given or reported, until a dead source's end; what a living process has not synced is neither;
 * - the same holds for what was said to be written, when its process was killed and the machine stayed up;
 * - a segment is deleted only when every handler has all of it, or a newer one has the rest;
 * - the bytes that the writer counts are the bytes on disk.
 *
 * `npm run test:long` tries ten times as many sequences; `SECLOG_MODEL_RUNS` sets another count, and `SECLOG_SEED` where they
 * begin (`random`: somewhere else each time).
 */
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, test, vi } from "vitest";
import { isLong } from "#test/support/long.ts";
import { type CrashKind, type Fault, ModelFs } from "#test/support/model-fs.ts";
import { fileSource } from "../ship/file-source.ts";
import type { RecordReader, ShipSource } from "../ship/lane.ts";
import type { SpoolFs } from "./fs.ts";
import { type Ownership, OwnerWatch, release } from "./ownership.ts";
import type { SpoolRead } from "./reader.ts";
import { decodeHeader, FRAME_BYTES, HEADER_BYTES, readFrame, segmentNumber } from "./segment.ts";
import { type AdoptedSource, adoptSource, createSource, listSources, openRoot, removeSource } from "./source.ts";
import { SpoolWriter } from "./writer.ts";

vi.mock("../runtime/timers.ts", () => import("#test/support/global-timers.ts"));

const RUNS = Number(process.env["SECLOG_MODEL_RUNS"] ?? (isLong ? 4_000 : 400));
const ROOT = "/spool";
const HANDLERS = ["first", "second"] as const;

/** One step. Plain data, so that a sequence that failed can be kept below as it was printed. */
type Step =
  /** Records events; `wait` asks for them to be durable, without waiting here. */
  | { readonly do: "append"; readonly count: number; readonly size: number; readonly wait: boolean }
  /** The event loop turns, and so much time passes. */
  | { readonly do: "time"; readonly ms: number }
  /** The thread pool does its oldest calls, and answers (or has not answered yet). */
  | { readonly do: "pool"; readonly calls: number; readonly answers: number }
  | { readonly do: "flushSync" }
  /** Room is short: the segment is ended, so that it can be deleted. */
  | { readonly do: "retire" }
  /** A handler takes events of the living source, or of the dead one at this place, and acknowledges them. */
  | { readonly do: "read"; readonly source: number; readonly handler: number; readonly most: number }
  /** Keeps cursors and deletes what all handlers have, as the shipper does. */
  | { readonly do: "keep" }
  /** The process ends, before so many more calls of the file system, and another one begins. */
  | { readonly do: "crash"; readonly kind: CrashKind; readonly after: number }
  /** The process ends in order, and another one begins. */
  | { readonly do: "close" }
  | { readonly do: "fault"; readonly fault: Fault }
  | { readonly do: "heal" }
  /** Between two calls of one thread, another thread does something. */
  | { readonly do: "between"; readonly after: number; readonly step: "read" | "pool" | "write" }
  /** Each of the last `count` events of a segment but `spare` is damaged in its head or in its payload. */
  | {
      readonly do: "damage events";
      readonly file: number;
      readonly count: number;
      readonly spare: number;
      readonly at: number;
    }
  /** A file's bytes change where they lie. */
  | {
      readonly do: "damage";
      readonly how: "flip" | "zero" | "truncate";
      readonly file: number;
      readonly at: number;
      readonly length: number;
    };

interface Run {
  readonly segmentBytes: number;
  readonly seed: number;
  readonly steps: readonly Step[];
}

/** The model of one source. */
class Source {
  readonly id: string;
  readonly directory: string;
  readonly payloads: string[] = [];
  /** The last number that was said to be on disk or, since its process was killed, to be written: the machine is up. */
  durable = 0;
  /** The last number that was said to be written. */
  written = 0;
  /** The last number that was said to be on disk when its process was killed. */
  onDisk: number | undefined;
  alive = true;
  /** What each handler has: given, or reported as damaged. The handlers are not of this machine, and never crash. */
  readonly stored: [number, number] = [0, 0];
  /** A handler's cursor was damaged: when the first segment's header is, too, what was deleted looks missing. */
  readonly forgotten: [boolean, boolean] = [false, false];
  /** A damaged tail took numbers with it that nothing speaks of any more. */
  readonly excused: [boolean, boolean] = [false, false];
  /** A segment was cut short: no count of bytes fits any more. */
  cut = false;

  constructor(id: string) {
    this.id = id;
    this.directory = join(ROOT, id);
  }
}

/** A source that is shipped by the process that runs. */
interface Shipped {
  readonly source: Source;
  readonly files: ShipSource;
  readonly owned: Ownership;
  readonly acknowledged: [number, number];
  readonly readers: [RecordReader | undefined, RecordReader | undefined];
  readonly ended: [boolean, boolean];
  freed: number;
}

/** One frame as it was written, and what became of it. */
interface Copy {
  readonly segment: number;
  /** `gone` is what looks like an event that was being written when its process died: cut, or zeros to the end. */
  readonly state: "intact" | "payload damaged" | "head damaged" | "gone";
}

class World {
  readonly #fs: ModelFs;
  readonly #segmentBytes: number;
  readonly #sources: Source[] = [];
  #calls: SpoolFs;
  #writer: SpoolWriter | undefined;
  #own: Shipped | undefined;
  #adopted: Shipped[] = [];
  #hours = 0;
  readonly #watch = new OwnerWatch(() => 3_600_000 * this.#hours++);
  #lives = 0;
  #limit = 0;
  /** The newest segment that the writer is done with. */
  #closed = 0;
  /** Which of the two threads are at work: one that is does nothing else in between. */
  #shipping = false;
  #writing = false;
  #crashed = false;
  #broken: string | undefined;

  constructor({ segmentBytes, seed }: Run) {
    this.#segmentBytes = segmentBytes;
    this.#fs = new ModelFs(seed);
    this.#calls = this.#fs.process();
    this.#fs.onUnlink = (path) => this.#checkUnlink(path);
    this.#begin();
  }

  async step(step: Step): Promise<void> {
    this.#writing = step.do !== "read" && step.do !== "keep";
    this.#do(step);
    if (this.#crashed) this.#begin();
    this.#checkBytes();
    // Promises settle between the turns of the event loop.
    for (let count = 0; count < 8; count++) await null;
    if (this.#broken !== undefined) throw new Error(this.#broken);
  }

  /** A promise. Its breach is kept until the step is over: whatever is thrown now, the spool may take for the disk's error. */
  #promise(holds: boolean, sentence: string): void {
    if (!holds) this.#broken ??= sentence;
  }

  /** Heals everything and reads all to the end. */
  async end(): Promise<void> {
    this.#fs.heal();
    await this.step({ do: "heal" });
    for (let round = 0; this.#fs.runPool() || this.#fs.answer(); round++) if (round > 1_000) break;
    await this.step({ do: "flushSync" });
    const own = this.#own;
    if (own === undefined) throw new Error("no process runs");
    const { payloads, durable, stored } = own.source;
    this.#promise(durable === payloads.length, `${durable} of ${payloads.length} are on disk when nothing fails`);
    for (const handler of [0, 1] as const) this.#readAll(own, handler);
    this.#promise(stored[0] === durable && stored[1] === durable, `of ${durable} the handlers have ${stored}`);
    await this.step({ do: "keep" });
    await this.step({ do: "close" });
    // One that starts finds all that is left.
    for (const shipped of [...this.#adopted]) {
      for (const handler of [0, 1] as const) this.#readAll(shipped, handler);
      this.#finish(shipped);
    }
    for (const { id, alive, stored, durable, excused } of this.#sources) {
      for (const handler of alive ? [] : ([0, 1] as const)) {
        const has = stored[handler];
        this.#promise(excused[handler] || has >= durable, `a handler has ${has} of ${durable} of ${id}`);
      }
    }
    this.#writer?.close();
    await this.step({ do: "heal" });
  }

  #do(step: Step): void {
    switch (step.do) {
      case "append":
        this.#append(step.count, step.size, step.wait);
        return;
      case "time":
        vi.advanceTimersByTime(step.ms);
        return;
      case "pool":
        for (let count = 0; count < step.calls; count++) this.#fs.runPool();
        for (let count = 0; count < step.answers; count++) this.#fs.answer();
        return;
      case "flushSync":
        this.#flushSync();
        return;
      case "retire":
        this.#writer?.retire();
        return;
      case "read": {
        const all = [...(this.#own === undefined ? [] : [this.#own]), ...this.#adopted];
        const shipped = all[step.source % all.length];
        if (shipped !== undefined) this.#read(shipped, (step.handler % 2) as 0 | 1, step.most);
        return;
      }
      case "keep":
        for (const shipped of [...this.#adopted, ...(this.#own === undefined ? [] : [this.#own])]) this.#keep(shipped);
        for (const shipped of [...this.#adopted]) this.#finish(shipped);
        return;
      case "crash":
        if (step.after === 0) this.#crash(step.kind);
        else this.#fs.schedule(step.after, () => this.#crash(step.kind));
        return;
      case "close":
        this.#close();
        return;
      case "fault":
        this.#fs.inject(step.fault);
        return;
      case "heal":
        this.#fs.heal();
        return;
      case "between":
        this.#fs.schedule(step.after, () => this.#interrupt(step.step));
        return;
      case "damage events":
        this.#damageEvents(step);
        return;
      case "damage":
        this.#damage(step);
        return;
    }
  }

  /** A process starts: makes a source, and adopts what the dead left. */
  #begin(): void {
    this.#crashed = false;
    vi.clearAllTimers();
    this.#writer = undefined;
    this.#own = undefined;
    this.#adopted = [];
    this.#calls = this.#fs.process();
    for (const source of this.#sources) this.#bury(source);
    for (let attempt = 1; this.#writer === undefined; attempt++) {
      try {
        this.#open();
      } catch (error) {
        if (this.#crashed) {
          this.#begin();
          return;
        }
        if (attempt > 20) throw error;
        this.#own = undefined;
        for (const source of this.#sources) this.#bury(source);
        if (attempt > 10) this.#fs.heal();
      }
    }
  }

  #open(): void {
    this.#lives += 1;
    const source = new Source(`0191f7a0-0000-7000-8000-${String(this.#lives).padStart(12, "0")}`);
    this.#sources.push(source);
    openRoot(this.#calls, ROOT);
    const owned = createSource(this.#calls, ROOT, source.id);
    this.#limit = 0;
    this.#closed = 0;
    const limits = { segmentBytes: this.#segmentBytes, maxBytes: 1e9, memoryBytes: 1e9 };
    const writer = new SpoolWriter(this.#calls, owned, source.id, limits, {
      synced: (seq) => {
        if (!source.alive) return;
        source.durable = seq;
        this.#limit = seq;
      },
      failed: () => {},
      recovered: () => {},
      closed: (number) => {
        this.#closed = number;
      },
      lost: () => this.#promise(false, "it found itself taken over, and nobody did"),
    });
    this.#own = this.#ship(source, owned, () => this.#limit);
    this.#writer = writer;
    for (const id of listSources(this.#calls, ROOT)) {
      const dead = this.#sources.find((other) => other.id === id && other !== source);
      if (dead === undefined) continue;
      // An hour after the one before; so much of that counts that three more are enough.
      const look = (): AdoptedSource | undefined =>
        adoptSource(this.#calls, ROOT, id, `holder ${this.#lives}`, this.#watch);
      const adopted = look() ?? look() ?? look() ?? look();
      if (adopted !== undefined) this.#adopted.push(this.#ship(dead, adopted.owned, () => undefined));
    }
  }

  #ship(source: Source, owned: Ownership, limit: () => number | undefined): Shipped {
    const files = fileSource({
      fs: this.#calls,
      directory: source.directory,
      id: source.id,
      epoch: owned.epoch,
      key: owned.key ?? "",
      limit,
      closed: () => (source.alive ? this.#closed : 0),
      freed: (bytes) => {
        shipped.freed += bytes;
      },
      warn: () => {},
    });
    const acknowledged = HANDLERS.map((name) => files.loadCursor(name)) as [number, number];
    for (const handler of [0, 1] as const) {
      const [cursor, has] = [acknowledged[handler], source.stored[handler]];
      this.#promise(cursor <= has, `a cursor of ${source.id} says ${cursor}, and the handler has ${has}`);
    }
    const shipped: Shipped = {
      source,
      files,
      owned,
      acknowledged,
      readers: [undefined, undefined],
      ended: [false, false],
      freed: 0,
    };
    return shipped;
  }

  /** The owner of a source is this test's process, which lives: makes it one that has ended. */
  #bury(source: Source): void {
    source.alive = false;
    for (const name of this.#fs.names(source.directory)) {
      const file = name.startsWith("owner.") ? this.#fs.file(join(source.directory, name)) : undefined;
      if (file === undefined) continue;
      file.mtimeMs = 0;
      file.cache = Buffer.from(file.cache.toString().replace(/"start":"\d+"/, '"start":"0"'));
      file.disk = file.cache;
    }
  }

  #append(count: number, size: number, wait: boolean): void {
    const [writer, source] = [this.#writer, this.#own?.source];
    if (writer === undefined || source === undefined) return;
    for (let event = 0; event < count; event++) {
      const seq = source.payloads.length + 1;
      const text = `${source.id.slice(-3)}:${seq}:${"é".repeat(size)}`;
      writer.append(writer.lastSeq + 1, text);
      source.payloads.push(text);
    }
    const last = source.payloads.length;
    writer.durable(last, false).then(
      () => {
        if (source.alive) source.written = Math.max(source.written, last);
      },
      () => {},
    );
    if (!wait) return;
    writer.durable(last, true).then(
      () => {
        if (source.alive) source.durable = Math.max(source.durable, last);
      },
      () => {},
    );
  }

  #flushSync(): void {
    const [writer, source] = [this.#writer, this.#own?.source];
    const last = source?.payloads.length ?? 0;
    try {
      writer?.flushSync();
      if (source?.alive) source.durable = Math.max(source.durable, last);
    } catch {
      // Refused: nothing was acknowledged.
    }
  }

  /** What `Lane` does with a reader, for one batch. */
  #read(shipped: Shipped, handler: 0 | 1, most: number): boolean {
    const { source, files, acknowledged, readers, ended } = shipped;
    if (ended[handler]) return false;
    let read: SpoolRead;
    const limit = files.limit();
    try {
      this.#shipping = true;
      const reader = readers[handler] ?? files.openReader(acknowledged[handler]);
      readers[handler] = reader;
      read = reader.read(limit, most, 1e6);
    } catch {
      // Reading failed: the lane begins again behind the last acknowledged event.
      readers[handler]?.close();
      readers[handler] = undefined;
      return false;
    } finally {
      this.#shipping = false;
    }
    if (this.#crashed && source !== this.#own?.source) return false;
    if (read.kind === "end") {
      if (limit === undefined) this.#checkEnd(shipped, handler);
      return false;
    }
    const first = acknowledged[handler] + 1;
    this.#promise(read.firstSeq === first, `${read.firstSeq} is read where ${first} comes next`);
    const last = read.kind === "records" ? first + read.records.length - 1 : read.lastSeq;
    if (limit !== undefined) this.#promise(last <= limit, `${last} is read when ${limit} is on disk`);
    if (read.kind === "records") {
      for (const [index, record] of read.records.entries()) {
        const same = record.toString() === source.payloads[first + index - 1];
        this.#promise(same, `event ${first + index} is read as ${record}`);
      }
    } else {
      const copies = this.#copies(source);
      for (let seq = first; seq <= last; seq++) {
        const damaged = (copies.get(seq)?.state ?? "intact") !== "intact";
        const unknown = source.forgotten[handler] && seq <= source.stored[handler] && !this.#firstHeaderIsWhole(source);
        const never = !source.alive && seq > source.durable;
        const where = JSON.stringify(copies.get(seq) ?? "in no segment");
        this.#promise(damaged || unknown || never, `event ${seq} of ${source.id} is called damaged, and is ${where}`);
        // Of garbage at the end nobody knows how many events it was: one is told, by each who reads when nothing tells which.
        const guessed = seq === source.payloads.length + 1 || !this.#firstHeaderIsWhole(source);
        this.#promise(seq <= source.payloads.length || guessed, `event ${seq} of ${source.id} never was`);
      }
    }
    acknowledged[handler] = last;
    source.stored[handler] = Math.max(source.stored[handler], last);
    return true;
  }

  #readAll(shipped: Shipped, handler: 0 | 1): void {
    for (let reads = 0; this.#read(shipped, handler, 50); reads++) {
      if (reads > 10_000) throw new Error("reading never ends");
    }
  }

  /** At a dead source's end a handler has all that was acknowledged, except for a damaged tail that says nothing of itself. */
  #checkEnd(shipped: Shipped, handler: 0 | 1): void {
    shipped.ended[handler] = true;
    const { source } = shipped;
    const has = source.stored[handler];
    if (has >= source.durable) return;
    const copies = this.#copies(source);
    // Of a segment that was cut away whole nothing is left, and it may be deleted.
    const state = (seq: number): Copy["state"] => copies.get(seq)?.state ?? (source.cut ? "gone" : "intact");
    for (let seq = has + 1; seq <= source.durable; seq++) {
      this.#promise(
        state(seq) !== "intact",
        `event ${seq} of ${source.id} is lost: ${JSON.stringify(copies.get(seq))}`,
      );
    }
    // Where a frame begins is known as long as the heads since the last one that is intact are whole.
    let before = has;
    while (copies.get(before)?.state === "payload damaged") before -= 1;
    const found = state(has + 1) !== "gone" && (copies.get(before)?.state ?? "intact") === "intact";
    this.#promise(!found, `event ${has + 1} of ${source.id} is damaged, and was not reported`);
    source.excused[handler] = true;
  }

  /** What `Shipper` does every now and then. */
  #keep(shipped: Shipped): void {
    const { files, acknowledged } = shipped;
    this.#shipping = true;
    try {
      for (const handler of [0, 1] as const) files.saveCursor(HANDLERS[handler], acknowledged[handler]);
      files.release(Math.min(...acknowledged));
    } catch {
      // Tried again.
    }
    this.#shipping = false;
  }

  /** What `Adoption` does when all handlers have a dead source whole. */
  #finish(shipped: Shipped): void {
    if (!shipped.ended[0] || !shipped.ended[1]) return;
    this.#adopted = this.#adopted.filter((other) => other !== shipped);
    for (const reader of shipped.readers) reader?.close();
    try {
      removeSource(this.#calls, ROOT, shipped.source.directory);
    } catch {
      // The next one finds it.
    }
  }

  /** Ends the process here and now; the step that runs notices by the failure of its calls. */
  #crash(kind: CrashKind): void {
    if (this.#crashed) return;
    this.#die(kind);
    this.#crashed = true;
    this.#fs.crash(kind);
  }

  #die(kind: CrashKind): void {
    for (const source of this.#sources) {
      if (source.alive && kind === "kill") {
        source.onDisk = source.durable;
        source.durable = Math.max(source.durable, source.written);
      }
      if (kind === "power") source.durable = source.onDisk ?? source.durable;
      source.alive = false;
    }
  }

  #close(): void {
    const own = this.#own;
    if (own === undefined) return;
    this.#writer?.close();
    if (own.source.alive) own.source.durable = Math.max(own.source.durable, this.#writer?.syncedSeq ?? 0);
    this.#shipping = true;
    for (const { readers, owned } of [own, ...this.#adopted]) {
      for (const reader of readers) reader?.close();
      try {
        release(this.#calls, owned);
      } catch {
        // The next one finds it with a dead owner.
      }
    }
    this.#shipping = false;
    this.#die("kill");
    this.#crashed = true;
    // What the thread pool was doing is finished before the process is gone.
    while (this.#fs.runPool() || this.#fs.answer());
    this.#fs.crash("kill");
  }

  #interrupt(what: "read" | "pool" | "write"): void {
    if (this.#crashed) return;
    if (what === "pool") this.#fs.runPool();
    else if (what === "read" && !this.#shipping && this.#own !== undefined) this.#read(this.#own, 0, 3);
    else if (what === "write" && !this.#writing) {
      this.#writing = true;
      this.#append(2, 5, false);
      this.#flushSync();
      this.#writing = false;
    }
  }

  #damageEvents({ file, count, spare, at }: Step & { do: "damage events" }): void {
    const paths = this.#sources.flatMap(({ directory }) =>
      this.#fs
        .names(directory)
        .filter((name) => segmentNumber(name) !== undefined)
        .map((name) => join(directory, name)),
    );
    const path = paths[file % Math.max(1, paths.length)] ?? "";
    const frames: { at: number; end: number }[] = [];
    const intact = this.#fs.file(path)?.intact ?? Buffer.alloc(0);
    for (let from = HEADER_BYTES; from < intact.length; ) {
      const frame = readFrame(intact, from);
      if (frame.kind !== "valid") break;
      frames.push({ at: from, end: frame.end });
      from = frame.end;
    }
    for (const frame of frames.slice(0, frames.length - spare).slice(-count)) {
      this.#fs.damage(path, (bytes) => {
        const offset = Math.min(frame.at + at, frame.end - 1);
        if (offset < bytes.length) bytes[offset] = (intact[offset] ?? 0) ^ 0x40;
        return bytes;
      });
    }
  }

  #damage({ how, file, at, length }: Step & { do: "damage" }): void {
    const paths = this.#sources.flatMap((source) =>
      this.#fs
        .names(source.directory)
        .filter((name) => !name.startsWith("owner."))
        .map((name) => ({ source, name, path: join(source.directory, name) })),
    );
    const chosen = paths[file % Math.max(1, paths.length)];
    if (chosen === undefined) return;
    const { source, name, path } = chosen;
    const size = this.#fs.file(path)?.cache.length ?? 0;
    const offset = Math.floor(at * size);
    if (name.startsWith("cursor.")) {
      const handler = HANDLERS.findIndex((other) => name.startsWith(`cursor.${other}`));
      if (handler >= 0) source.forgotten[handler as 0 | 1] = true;
    } else if (how === "truncate") {
      // A file that is still written to goes on at its end: then nobody could say what was damaged.
      if (source.alive) return;
      source.cut = true;
    }
    // Of what was intact: damage that undoes damage would be none, and a reader may have reported it already.
    const intact = this.#fs.file(path)?.intact ?? Buffer.alloc(0);
    this.#fs.damage(path, (bytes) => {
      if (how === "truncate") return bytes.subarray(0, Math.min(bytes.length, offset));
      for (let byte = offset; byte < Math.min(bytes.length, how === "zero" ? offset + length : offset + 1); byte++) {
        if (bytes[byte] === intact[byte]) bytes[byte] = how === "zero" ? 0 : (intact[byte] ?? 0) ^ (1 << (length % 8));
      }
      return bytes;
    });
    // A chunk that was read before is memory of the reader, and stays as it was.
  }

  #firstHeaderIsWhole({ directory }: Source): boolean {
    const name = this.#fs.names(directory).find((each) => segmentNumber(each) !== undefined);
    const file = name === undefined ? undefined : this.#fs.file(join(directory, name));
    return file === undefined || decodeHeader(file.cache) !== undefined;
  }

  /** For each number the newest segment that was given it whole, and whether its bytes are still those. */
  #copies(source: Source): Map<number, Copy> {
    const copies = new Map<number, Copy>();
    for (const name of this.#fs.names(source.directory)) {
      const segment = segmentNumber(name);
      const file = this.#fs.file(join(source.directory, name));
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

  #checkUnlink(path: string): void {
    const source = this.#sources.find(({ directory }) => path.startsWith(`${directory}/`));
    const segment = segmentNumber(path.slice(path.lastIndexOf("/") + 1));
    const file = this.#fs.file(path);
    if (source === undefined || segment === undefined || file === undefined) return;
    // Of one that was cut to its header nothing is left to be deleted.
    if (file.cache.length <= HEADER_BYTES) return;
    const promised = source.alive ? Math.max(source.durable, source.written) : source.durable;
    const stored = Math.min(...source.stored.map((seq, handler) => (source.excused[handler] ? promised : seq)));
    // What was said to be on disk must be on disk elsewhere, what was said to be written at least in the page cache.
    for (const [where, upTo] of [
      ["cache", promised],
      ["disk", source.alive ? source.durable : (source.onDisk ?? source.durable)],
    ] as const) {
      const elsewhere = this.#whole(source, where, (other) => other !== segment);
      for (const seq of this.#whole(source, where, (other) => other === segment)) {
        const needed = seq > stored && seq <= upTo && !elsewhere.has(seq);
        this.#promise(
          !needed,
          `segment ${segment} of ${source.id} is deleted with event ${seq}, which a handler has not`,
        );
      }
    }
  }

  /** The numbers that some segments have whole, but for what was damaged on purpose. */
  #whole(source: Source, where: "cache" | "disk", of: (segment: number) => boolean): Set<number> {
    const whole = new Set<number>();
    for (const name of this.#fs.names(source.directory)) {
      const segment = segmentNumber(name);
      const file = this.#fs.file(join(source.directory, name));
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

  #checkBytes(): void {
    const [own, writer] = [this.#own, this.#writer];
    if (own === undefined || writer === undefined || own.source.cut) return;
    const sizes = this.#fs
      .names(own.source.directory)
      .filter((name) => segmentNumber(name) !== undefined)
      .map((name) => this.#fs.file(join(own.source.directory, name))?.cache.length ?? 0);
    const [counted, onDisk] = [writer.bytesWritten - own.freed, sizes.reduce((sum, size) => sum + size, 0)];
    this.#promise(counted === onDisk, `${counted} bytes are counted, and ${onDisk} are on disk`);
  }
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      count: fc.integer({ min: 1, max: 6 }),
      size: fc.integer({ min: 0, max: 60 }),
      wait: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("time" as const), ms: fc.constantFrom(1, 1, 60, 1_200, 6_000) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("pool" as const),
      calls: fc.integer({ min: 0, max: 3 }),
      answers: fc.constantFrom(0, 0, 1, 2, 3),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("flushSync" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("retire" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      source: fc.nat(3),
      handler: fc.nat(1),
      most: fc.constantFrom(1, 3, 50),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("keep" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("crash" as const),
      kind: fc.constantFrom("kill" as const, "power" as const, "power" as const),
      after: fc.oneof(fc.constant(0), fc.nat(30)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("fault" as const),
      fault: fc.record({
        calls: fc.constantFrom("write" as const, "sync" as const, "read" as const),
        after: fc.oneof(fc.constant(0), fc.nat(6)),
        count: fc.constantFrom(1, 1, 2, 5, 1_000),
        code: fc.constantFrom("EIO" as const, "ENOSPC" as const, "SHORT" as const),
      }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("heal" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("between" as const),
      after: fc.nat(12),
      step: fc.constantFrom("read" as const, "pool" as const, "write" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("damage events" as const),
      file: fc.nat(8),
      count: fc.integer({ min: 1, max: 4 }),
      spare: fc.constantFrom(0, 0, 0, 1, 2),
      at: fc.integer({ min: 0, max: FRAME_BYTES + 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("damage" as const),
      how: fc.constantFrom("flip" as const, "flip" as const, "zero" as const, "truncate" as const),
      file: fc.nat(20),
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      length: fc.integer({ min: 1, max: 200 }),
    }),
  },
);

const run: fc.Arbitrary<Run> = fc.record({
  segmentBytes: fc.constantFrom(128, 300, 700, 4_000),
  seed: fc.integer(),
  steps: fc.array(step, { minLength: 1, maxLength: 60, size: "max" }),
});

const append = (count: number, size = 0): Step => ({ do: "append", count, size, wait: false });
const flushSync: Step = { do: "flushSync" };
const keep: Step = { do: "keep" };
const read = (handler: number, source = 0): Step => ({ do: "read", source, handler, most: 50 });
const crash = (kind: CrashKind, after = 0): Step => ({ do: "crash", kind, after });
const flip = (file: number, at: number): Step => ({ do: "damage", how: "flip", file, at, length: 1 });

/** Sequences that failed once, named by what was wrong. Whoever finds another one adds it. */
const FAILED: Record<string, Omit<Run, "seed"> & { readonly seed?: number }> = {
  "the root's name was not made durable": {
    segmentBytes: 128,
    seed: 1,
    steps: [append(1), { do: "close" }, crash("power")],
  },
  "a header that was refused was taken off the bytes": {
    segmentBytes: 128,
    steps: [
      append(1),
      flushSync,
      { do: "fault", fault: { calls: "write", after: 1, count: 1, code: "EIO" } },
      append(1, 3),
      flushSync,
    ],
  },
  "a flipped bit made a cursor say more": {
    segmentBytes: 128,
    steps: [keep, flip(1, 0.47), crash("kill"), read(0)],
  },
  "a segment was deleted before its cursors were on disk": {
    segmentBytes: 128,
    seed: 1,
    steps: [append(1), flushSync, read(0), read(1), append(3, 15), { do: "time", ms: 1 }, keep, crash("power")],
  },
  "a sync took the error of another thread's away": {
    segmentBytes: 300,
    steps: [
      append(1),
      { do: "time", ms: 1 },
      { do: "time", ms: 60 },
      { do: "pool", calls: 1, answers: 1 },
      { do: "fault", fault: { calls: "sync", after: 0, count: 1, code: "EIO" } },
      { do: "pool", calls: 1, answers: 0 },
      { do: "heal" },
      append(1),
      flushSync,
      crash("power"),
    ],
  },
  "damage was held back and reported when a newer segment had its events": {
    segmentBytes: 4_000,
    steps: [
      flushSync,
      append(2),
      { do: "time", ms: 1_200 },
      append(5),
      { do: "time", ms: 1 },
      { do: "damage events", file: 0, count: 4, spare: 2, at: 0 },
      { do: "pool", calls: 1, answers: 2 },
      append(1),
      { do: "fault", fault: { calls: "write", after: 0, count: 1_000, code: "EIO" } },
      flushSync,
      read(0),
    ],
  },
  "an empty segment hid damage before it": {
    segmentBytes: 128,
    steps: [append(1), crash("kill", 6), flushSync, flip(0, 0.94), append(1, 3), { do: "time", ms: 1 }],
  },
  "a segment was deleted before what it had was written again": {
    segmentBytes: 128,
    steps: [
      append(1),
      { do: "time", ms: 1 },
      { do: "fault", fault: { calls: "sync", after: 0, count: 1, code: "EIO" } },
      { do: "close" },
      { do: "pool", calls: 0, answers: 0 },
    ],
  },
  "a rewrite that was cut off hid what had been written before": {
    segmentBytes: 128,
    seed: -442640086,
    steps: [
      crash("power"),
      append(1),
      { do: "fault", fault: { calls: "sync", after: 5, count: 1, code: "EIO" } },
      keep,
      { do: "time", ms: 60 },
      crash("kill", 8),
      { do: "read", source: 3, handler: 0, most: 1 },
      flushSync,
      { do: "read", source: 0, handler: 0, most: 1 },
    ],
  },
  "what was deleted was called damaged because a cursor was": {
    segmentBytes: 128,
    steps: [
      append(1),
      flushSync,
      { do: "read", source: 0, handler: 1, most: 1 },
      append(1),
      append(1),
      { do: "time", ms: 1 },
      { do: "read", source: 0, handler: 0, most: 1 },
      keep,
      { do: "damage", how: "truncate", file: 1, at: 0, length: 1 },
      { do: "close" },
      { do: "read", source: 0, handler: 0, most: 1 },
    ],
  },
  "of two damaged events at the end one was named": {
    segmentBytes: 300,
    steps: [append(2), flushSync, flip(0, 0.74), flip(0, 0.99), crash("kill"), read(0), read(1)],
  },
  "a rewrite of what came before it hid an event": {
    segmentBytes: 128,
    steps: [
      { do: "fault", fault: { calls: "sync", after: 0, count: 1, code: "EIO" } },
      append(1),
      { do: "time", ms: 6_000 },
      append(1, 3),
      { do: "time", ms: 1 },
      crash("kill", 10),
      { do: "close" },
      append(1),
    ],
  },
  "a torn cursor was taken to have what only a newer segment had": {
    segmentBytes: 128,
    seed: -827541416,
    steps: [
      { do: "append", count: 4, size: 2, wait: true },
      { do: "time", ms: 1 },
      append(5, 21),
      append(6, 18),
      append(2, 9),
      { do: "pool", calls: 1, answers: 0 },
      { do: "time", ms: 1 },
      { do: "between", after: 8, step: "pool" },
      { do: "fault", fault: { calls: "sync", after: 0, count: 2, code: "EIO" } },
      keep,
      { do: "pool", calls: 0, answers: 1 },
      flushSync,
      { do: "pool", calls: 0, answers: 1 },
      crash("power"),
      keep,
    ],
  },
  "the torn beginning of a rewrite was taken for what a torn cursor had": {
    segmentBytes: 4_000,
    seed: 564290419,
    steps: [
      append(3, 16),
      { do: "fault", fault: { calls: "sync", after: 0, count: 1_000, code: "EIO" } },
      { do: "time", ms: 1_200 },
      append(5, 5),
      { do: "pool", calls: 1, answers: 2 },
      keep,
      { do: "pool", calls: 1, answers: 3 },
      flushSync,
      crash("power"),
      { do: "pool", calls: 0, answers: 0 },
    ],
  },
  "all that was left was damaged, and nothing was told": {
    segmentBytes: 128,
    steps: [
      append(1),
      flushSync,
      read(0),
      append(1, 3),
      { do: "time", ms: 1 },
      crash("kill", 3),
      keep,
      { do: "read", source: 3, handler: 1, most: 1 },
      keep,
      { do: "damage events", file: 0, count: 1, spare: 0, at: 0 },
      flip(0, 0),
      { do: "between", after: 0, step: "read" },
    ],
  },
  "damage that a rewrite should have replaced hid what was behind it": {
    segmentBytes: 128,
    steps: [
      append(1),
      { do: "time", ms: 1 },
      { do: "fault", fault: { calls: "sync", after: 0, count: 1, code: "EIO" } },
      { do: "fault", fault: { calls: "write", after: 5, count: 5, code: "EIO" } },
      append(1, 3),
      flushSync,
      { do: "damage events", file: 0, count: 1, spare: 0, at: 0 },
      crash("kill"),
      { do: "read", source: 0, handler: 0, most: 1 },
    ],
  },
};

async function check(sequence: Run): Promise<void> {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate", "Date"] });
  const world = new World(sequence);
  for (const each of sequence.steps) await world.step(each);
  await world.end();
}

afterEach(() => {
  vi.useRealTimers();
});

describe("the spool", () => {
  test.each(Object.entries(FAILED))("keeps what its model keeps; once it did not: %s", async (_, sequence) => {
    await check({ seed: 0, ...sequence });
  });

  test("keeps what its model keeps, whatever happens", async () => {
    await fc.assert(fc.asyncProperty(run, check), { numRuns: RUNS });
  });
});
