import { join } from "node:path";
import { vi } from "vitest";
import { fileSource } from "../../../packages/seclog/src/ship/file-source.ts";
import type { SpoolFs } from "../../../packages/seclog/src/spool/fs.ts";
import { type Ownership, OwnerWatch, release } from "../../../packages/seclog/src/spool/ownership.ts";
import type { SpoolRead } from "../../../packages/seclog/src/spool/reader.ts";
import {
  type AdoptedSource,
  adoptSource,
  createSource,
  listSources,
  openRoot,
  removeSource,
} from "../../../packages/seclog/src/spool/source.ts";
import { SpoolWriter } from "../../../packages/seclog/src/spool/writer.ts";
import { type CrashKind, ModelFs } from "../model-fs.ts";
import { damage, damageEvents } from "./bytes.ts";
import { Rules } from "./rules.ts";
import { HANDLERS, ROOT, type Shipped, Source } from "./source.ts";
import type { Run, Step } from "./steps.ts";

/** Runs sequences on the real spool and on its model, and compares them. */
export class World {
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
  /** The newest segment that the writer has finished. */
  #closed = 0;
  /** Which of the two threads is in the middle of something: it does nothing else meanwhile. */
  #shipping = false;
  #writing = false;
  #crashed = false;
  readonly #rules: Rules;

  constructor({ segmentBytes, seed }: Run) {
    this.#segmentBytes = segmentBytes;
    this.#fs = new ModelFs(seed);
    this.#rules = new Rules(this.#fs, this.#sources);
    this.#calls = this.#fs.process();
    this.#fs.onUnlink = (path) => this.#rules.atUnlink(path);
    this.#begin();
  }

  async step(step: Step): Promise<void> {
    this.#writing = step.do !== "read" && step.do !== "keep";
    this.#do(step);
    if (this.#crashed) this.#begin();
    this.#rules.bytes(this.#own, this.#writer);
    // Promises settle between the turns of the event loop.
    for (let count = 0; count < 8; count++) await null;
    if (this.#rules.broken !== undefined) throw new Error(this.#rules.broken);
  }

  /** Removes all faults and reads everything to the end. */
  async end(): Promise<void> {
    this.#fs.heal();
    await this.step({ do: "heal" });
    for (let round = 0; this.#fs.runPool() || this.#fs.answer(); round++) if (round > 1_000) break;
    await this.step({ do: "flushSync" });
    const own = this.#own;
    if (own === undefined) throw new Error("no process runs");
    const { payloads, durable, stored } = own.source;
    this.#rules.hold(durable === payloads.length, `${durable} of ${payloads.length} are on disk without faults`);
    for (const handler of [0, 1] as const) this.#readAll(own, handler);
    this.#rules.hold(stored[0] === durable && stored[1] === durable, `of ${durable} the handlers have ${stored}`);
    await this.step({ do: "keep" });
    await this.step({ do: "close" });
    // A process that starts finds everything that is left.
    for (const shipped of [...this.#adopted]) {
      for (const handler of [0, 1] as const) this.#readAll(shipped, handler);
      this.#finish(shipped);
    }
    for (const { id, alive, stored, durable, excused } of this.#sources) {
      for (const handler of alive ? [] : ([0, 1] as const)) {
        const has = stored[handler];
        this.#rules.hold(excused[handler] || has >= durable, `a handler has ${has} of ${durable} of ${id}`);
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
        damageEvents(this.#fs, this.#sources, step);
        return;
      case "damage":
        damage(this.#fs, this.#sources, step);
        return;
    }
  }

  /** A process starts: creates a source, and adopts what dead processes left. */
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
      lost: () => this.#rules.hold(false, "it noticed a takeover that never happened"),
    });
    this.#own = this.#ship(source, owned, () => this.#limit);
    this.#writer = writer;
    for (const id of listSources(this.#calls, ROOT)) {
      const dead = this.#sources.find((other) => other.id === id && other !== source);
      if (dead === undefined) continue;
      // An hour has passed, of which one look counts only a part: four looks are enough.
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
      this.#rules.hold(cursor <= has, `a cursor of ${source.id} says ${cursor}, and the handler has ${has}`);
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

  /** The owner of a source is this test's process, which is alive: makes it a dead one. */
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

  /** One batch, read as `Lane` reads it. */
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
      // Reading failed: the lane restarts after the last acknowledged event.
      readers[handler]?.close();
      readers[handler] = undefined;
      return false;
    } finally {
      this.#shipping = false;
    }
    if (this.#crashed && source !== this.#own?.source) return false;
    if (read.kind === "end") {
      if (limit === undefined) this.#rules.atEnd(shipped, handler);
      return false;
    }
    const last = this.#rules.atRead(shipped, handler, read, limit);
    acknowledged[handler] = last;
    source.stored[handler] = Math.max(source.stored[handler], last);
    return true;
  }

  #readAll(shipped: Shipped, handler: 0 | 1): void {
    for (let reads = 0; this.#read(shipped, handler, 50); reads++) {
      if (reads > 10_000) throw new Error("reading never ends");
    }
  }

  /** `Shipper`'s periodic work. */
  #keep(shipped: Shipped): void {
    const { files, acknowledged } = shipped;
    this.#shipping = true;
    try {
      for (const handler of [0, 1] as const) files.saveCursor(HANDLERS[handler], acknowledged[handler]);
      files.release(Math.min(...acknowledged));
    } catch {
      // It is retried.
    }
    this.#shipping = false;
  }

  /** `Adoption`'s work once all handlers have a dead source whole. */
  #finish(shipped: Shipped): void {
    if (!shipped.ended[0] || !shipped.ended[1]) return;
    this.#adopted = this.#adopted.filter((other) => other !== shipped);
    for (const reader of shipped.readers) reader?.close();
    try {
      removeSource(this.#calls, ROOT, shipped.source.directory);
    } catch {
      // The next process finds it.
    }
  }

  /** Ends the process at once; the running step notices when its calls fail. */
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
        // The next process finds it with a dead owner.
      }
    }
    this.#shipping = false;
    this.#die("kill");
    this.#crashed = true;
    // The thread pool's work finishes before the process is gone.
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
}
