import { join } from "node:path";
import type { SpoolRead } from "../../../packages/seclog/src/spool/reader.ts";
import { HEADER_BYTES, segmentNumber } from "../../../packages/seclog/src/spool/segment.ts";
import type { SpoolWriter } from "../../../packages/seclog/src/spool/writer.ts";
import type { ModelFs } from "../model-fs.ts";
import { type Copy, copiesOf, firstHeaderIsWhole, wholeEvents } from "./bytes.ts";
import type { Shipped, Source } from "./source.ts";

/** The spool's promises, checked when it reads, deletes and ends. */
export class Rules {
  readonly #fs: ModelFs;
  readonly #sources: readonly Source[];
  /** The first promise that was broken. */
  broken: string | undefined;

  constructor(fs: ModelFs, sources: readonly Source[]) {
    this.#fs = fs;
    this.#sources = sources;
  }

  /** A promise. A breach is kept until the step is over: anything thrown now could pass for an error of the disk. */
  hold(holds: boolean, sentence: string): void {
    if (!holds) this.broken ??= sentence;
  }

  /** Checks what a handler receives next, and returns its last number. */
  atRead(
    { source, acknowledged }: Shipped,
    handler: 0 | 1,
    read: Exclude<SpoolRead, { readonly kind: "end" }>,
    limit: number | undefined,
  ): number {
    const first = acknowledged[handler] + 1;
    this.hold(read.firstSeq === first, `${read.firstSeq} is read where ${first} comes next`);
    const last = read.kind === "records" ? first + read.records.length - 1 : read.lastSeq;
    if (limit !== undefined) this.hold(last <= limit, `${last} is read when ${limit} is on disk`);
    if (read.kind === "records") {
      for (const [index, record] of read.records.entries()) {
        const same = record.toString() === source.payloads[first + index - 1];
        this.hold(same, `event ${first + index} is read as ${record}`);
      }
    } else {
      const copies = copiesOf(this.#fs, source);
      for (let seq = first; seq <= last; seq++) {
        const damaged = (copies.get(seq)?.state ?? "intact") !== "intact";
        const unknown =
          source.forgotten[handler] && seq <= source.stored[handler] && !firstHeaderIsWhole(this.#fs, source);
        const never = !source.alive && seq > source.durable;
        const where = JSON.stringify(copies.get(seq) ?? "in no segment");
        this.hold(damaged || unknown || never, `event ${seq} of ${source.id} is called damaged, and is ${where}`);
        // Garbage at the end may be any number of events: each reader that has no other clue reports one.
        const guessed = seq === source.payloads.length + 1 || !firstHeaderIsWhole(this.#fs, source);
        this.hold(seq <= source.payloads.length || guessed, `event ${seq} of ${source.id} never existed`);
      }
    }
    return last;
  }

  /** At a dead source's end a handler has everything acknowledged, except for a damaged tail without readable heads. */
  atEnd(shipped: Shipped, handler: 0 | 1): void {
    shipped.ended[handler] = true;
    const { source } = shipped;
    const has = source.stored[handler];
    if (has >= source.durable) return;
    const copies = copiesOf(this.#fs, source);
    // A segment that was cut away whole leaves nothing, and may be deleted.
    const state = (seq: number): Copy["state"] => copies.get(seq)?.state ?? (source.cut ? "gone" : "intact");
    for (let seq = has + 1; seq <= source.durable; seq++) {
      this.hold(state(seq) !== "intact", `event ${seq} of ${source.id} is lost: ${JSON.stringify(copies.get(seq))}`);
    }
    // The start of a frame is known as long as all heads since the last intact frame are whole.
    let before = has;
    while (copies.get(before)?.state === "payload damaged") before -= 1;
    const found = state(has + 1) !== "gone" && (copies.get(before)?.state ?? "intact") === "intact";
    this.hold(!found, `event ${has + 1} of ${source.id} is damaged, and was not reported`);
    source.excused[handler] = true;
  }

  atUnlink(path: string): void {
    const source = this.#sources.find(({ directory }) => path.startsWith(`${directory}/`));
    const segment = segmentNumber(path.slice(path.lastIndexOf("/") + 1));
    const file = this.#fs.file(path);
    if (source === undefined || segment === undefined || file === undefined) return;
    // A segment cut to its header holds nothing that could be lost.
    if (file.cache.length <= HEADER_BYTES) return;
    const promised = source.alive ? Math.max(source.durable, source.written) : source.durable;
    const stored = Math.min(...source.stored.map((seq, handler) => (source.excused[handler] ? promised : seq)));
    // What was reported on disk must be on disk elsewhere, what was reported written at least in the page cache.
    for (const [where, upTo] of [
      ["cache", promised],
      ["disk", source.alive ? source.durable : (source.onDisk ?? source.durable)],
    ] as const) {
      const elsewhere = wholeEvents(this.#fs, source, where, (other) => other !== segment);
      for (const seq of wholeEvents(this.#fs, source, where, (other) => other === segment)) {
        const needed = seq > stored && seq <= upTo && !elsewhere.has(seq);
        this.hold(!needed, `segment ${segment} of ${source.id} is deleted with event ${seq}, which a handler has not`);
      }
    }
  }

  /** The bytes that the writer counts are those on disk. */
  bytes(own: Shipped | undefined, writer: SpoolWriter | undefined): void {
    if (own === undefined || writer === undefined || own.source.cut) return;
    const sizes = this.#fs
      .names(own.source.directory)
      .filter((name) => segmentNumber(name) !== undefined)
      .map((name) => this.#fs.file(join(own.source.directory, name))?.cache.length ?? 0);
    const [counted, onDisk] = [writer.bytesWritten - own.freed, sizes.reduce((sum, size) => sum + size, 0)];
    this.hold(counted === onDisk, `${counted} bytes are counted, and ${onDisk} are on disk`);
  }
}
