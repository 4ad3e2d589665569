import { randomBytes } from "node:crypto";
import { errorMessage } from "../event/errors.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import type { ShippingNews } from "../ship/news.ts";
import { Progress } from "../ship/progress.ts";
import { reportFailures } from "../ship/report.ts";
import type { RecordReader, ShipSource } from "../ship/ship-source.ts";
import type { Shipping } from "../ship/ship-thread.ts";
import { Shipper } from "../ship/shipper.ts";
import type { SpoolRead } from "../spool/reader.ts";

/**
 * A source in memory only, shipped on the application's thread: for serverless functions, whose disk does not
 * outlive them, and which have no time to start a thread. Events that are not stored when the process ends are lost.
 */
export class MemoryShipping implements Shipping {
  readonly #shipper: Shipper;
  readonly #report: (news: ShippingNews) => void;
  readonly progress: Progress;
  /** The events that a handler still needs; the first has the number `#first`. */
  #records: Buffer[] = [];
  #first = 1;
  #bytes = 0;
  #limit = 0;

  constructor(sourceId: string, handlers: readonly SecurityEventHandler[], report: (news: ShippingNews) => void) {
    this.#report = report;
    const progress = new Progress(handlers.length);
    this.progress = progress;
    const source: ShipSource = {
      id: sourceId,
      epoch: 1,
      // Not derived from the id, which error messages and query results show.
      key: randomBytes(16).toString("hex"),
      limit: () => this.#limit,
      openReader: (afterSeq) => new MemoryReader(afterSeq, (seq) => this.#records[seq - this.#first]),
      loadCursor: () => 0,
      saveCursor: () => {},
      loadSuccessor: () => undefined,
      saveSuccessor: () => {},
      release: (seq) => this.#release(seq),
    };
    this.#shipper = new Shipper(
      handlers,
      {
        acknowledged: (lane) => {
          const handler = handlers.indexOf(lane.handler);
          progress.acknowledge(handler, lane.acknowledged);
          report({ type: "acknowledged", handler, seq: lane.acknowledged, health: this.#shipper.health(handler) });
        },
        ...reportFailures((news) => {
          report(news);
          report({ type: "health", handlers: handlers.map((_, index) => this.#shipper.health(index)), spool: {} });
        }),
        kept: () => {},
        finished: () => {},
      },
      (handler, record) => {
        const message = `event ${record.seq} is lost: ${errorMessage(record.reason)}`;
        report({ type: "failed", handler, kind: "event", code: "SECLOG_EVENT_REJECTED", message });
      },
      progress,
    );
    void this.#shipper.add(source);
  }

  /** Bytes of events that a handler still needs. */
  get pendingBytes(): number {
    return this.#bytes;
  }

  append(seq: number, text: string): void {
    const record = Buffer.from(text);
    this.#records.push(record);
    this.#bytes += record.length;
    this.available(seq);
  }

  available(seq: number): void {
    this.#limit = seq;
    this.#shipper.wake();
  }

  drain(deadline: number): Promise<boolean> {
    return this.#shipper.drain(deadline);
  }

  async stop(): Promise<void> {
    await this.#shipper.stop();
    await this.#shipper.closeHandlers();
  }

  bytes(): ReturnType<Shipping["bytes"]> {
    return { freed: 0, adopted: 0, others: 0 };
  }

  #release(seq: number): void {
    for (const record of this.#records.splice(0, seq - this.#first + 1)) this.#bytes -= record.length;
    this.#first = seq + 1;
    this.#report({ type: "freed" });
  }
}

class MemoryReader implements RecordReader {
  #next: number;
  readonly #record: (seq: number) => Buffer | undefined;

  constructor(afterSeq: number, record: (seq: number) => Buffer | undefined) {
    this.#next = afterSeq + 1;
    this.#record = record;
  }

  seek(afterSeq: number): void {
    this.#next = afterSeq + 1;
  }

  read(limit: number | undefined, maxRecords: number, maxBytes: number): SpoolRead {
    const records: Buffer[] = [];
    const firstSeq = this.#next;
    for (
      let size = 0;
      records.length < maxRecords && size < maxBytes && (limit === undefined || this.#next <= limit);
    ) {
      const record = this.#record(this.#next);
      if (record === undefined) break;
      records.push(record);
      size += record.length;
      this.#next += 1;
    }
    return records.length === 0 ? { kind: "end" } : { kind: "records", firstSeq, records: copies(records) };
  }

  close(): void {}
}

/** Copies for one call of one handler: if it writes into them, no other handler and no retry sees that. */
function copies(records: readonly Buffer[]): Buffer[] {
  // Not from Node's pool: a handler could reach other buffers through it.
  const bytes = Buffer.alloc(records.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  return records.map((record) => {
    const start = at;
    at += record.copy(bytes, at);
    return bytes.subarray(start, at);
  });
}
