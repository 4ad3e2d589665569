import { SeclogError } from "../event/errors.ts";
import { beforeDeadline } from "../ship/deadline.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import type { ShippingHealth } from "../ship/news.ts";
import { RecordedTimes } from "../ship/recorded-times.ts";
import { type HandlerState, handlerState } from "../ship/watchdog.ts";
import { MemoryShipping } from "./memory-shipping.ts";
import { closedError, type LeftOver, type Pipeline, type PipelineNews, withPositions } from "./pipeline.ts";
import { StoredPositions } from "./stored.ts";

/** The most bytes of events in memory. */
const MEMORY_BYTES = 64 * 1024 * 1024;

/** Holds events in memory: those not stored when the process ends are lost. */
export class MemoryPipeline implements Pipeline {
  readonly sourceId: string;
  readonly epoch = 1;
  readonly failure = undefined;
  readonly #times = new RecordedTimes();
  readonly #positions: StoredPositions;
  readonly #shipping: MemoryShipping;
  lastSeq = 0;

  constructor(sourceId: string, handlers: readonly SecurityEventHandler[], report: (news: PipelineNews) => void) {
    this.sourceId = sourceId;
    this.#positions = new StoredPositions(handlers.map(({ required }) => required !== false));
    const receive = withPositions(report, this.#positions);
    this.#shipping = new MemoryShipping(sourceId, handlers, (news) => {
      receive(news);
      if (news.type === "acknowledged") this.#times.next(this.#positions.acknowledgedByAll);
    });
  }

  get stored(): number {
    return this.#positions.stored;
  }

  get bytes(): number {
    return this.#shipping.pendingBytes;
  }

  handlers(reported: readonly ShippingHealth[]): readonly HandlerState[] {
    const { progress } = this.#shipping;
    const watched = {
      progress,
      times: this.#times,
      recorded: this.lastSeq,
      available: this.lastSeq,
      trouble: undefined,
    };
    return reported.map((health, index) => handlerState(index, health, watched));
  }

  refusal(last: boolean): SeclogError | undefined {
    if (last || this.bytes <= MEMORY_BYTES) return undefined;
    return new SeclogError(
      "SECLOG_SPOOL_FULL",
      `${MEMORY_BYTES} bytes of events wait in memory: see health() for the handler that is behind`,
    );
  }

  append(seq: number, text: string): void {
    this.lastSeq = seq;
    this.#times.note(seq);
    this.#shipping.append(seq, text);
  }

  flushSync(): void {
    throw new SeclogError("SECLOG_SPOOL_WRITE", 'durability "strict" needs a spool on disk: spool is "memory"');
  }

  readonly written = (seq: number): Promise<void> => this.#positions.wait(seq);
  readonly synced = (seq: number): Promise<void> => this.#positions.wait(seq);
  readonly waitStored = (seq: number): Promise<void> => this.#positions.wait(seq);

  flush(deadline: number): Promise<boolean> {
    return beforeDeadline(deadline, this.waitStored(this.lastSeq));
  }

  async close(deadline: number): Promise<void> {
    await this.#shipping.drain(deadline);
    await this.#shipping.stop();
    this.#positions.end(closedError("it was in memory only"));
  }

  abandon(): void {}

  closeHandlers(): Promise<void> {
    return Promise.resolve();
  }

  left(): LeftOver {
    const doubtful = Math.max(0, this.lastSeq - this.stored);
    return { unwritten: [], doubtful, error: closedError("it was in memory only") };
  }
}
