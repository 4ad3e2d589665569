import { rejected, type SeclogError } from "../event/errors.ts";
import { keepAlive } from "./keep-alive.ts";

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: SeclogError) => void;
}

/** Knows how far every required handler has the events of one source, and who waits for that. */
export class StoredPositions {
  readonly #acknowledged: number[];
  readonly #required: readonly boolean[];
  /** By rising seq, nearly: events are mostly asked for in their order. */
  #waiters: Waiter[] = [];
  #stored = 0;
  /** Ends what keeps the process alive while somebody waits. */
  #letGo: (() => void) | undefined;
  #ended: SeclogError | undefined;

  /** @param required which handlers are */
  constructor(required: readonly boolean[]) {
    this.#required = required;
    this.#acknowledged = required.map(() => 0);
    // Nobody to wait for.
    if (!required.includes(true)) this.#stored = Number.POSITIVE_INFINITY;
  }

  /** The number up to which every required handler has the events. */
  get stored(): number {
    return this.#stored;
  }

  /** The number up to which every handler, required or not, has the events. */
  get acknowledgedByAll(): number {
    return Math.min(...this.#acknowledged);
  }

  acknowledge(handler: number, seq: number): void {
    this.#acknowledged[handler] = Math.max(seq, this.#acknowledged[handler] ?? 0);
    const stored = Math.min(
      ...this.#acknowledged.map((at, index) => (this.#required[index] ? at : Number.POSITIVE_INFINITY)),
    );
    if (stored <= this.#stored) return;
    this.#stored = stored;
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (waiter.seq <= stored) waiter.resolve();
      else this.#waiters.push(waiter);
    }
    this.#letGoWhenDone();
  }

  /** Resolves when every required handler has the event, and keeps the process alive until then. May be left unhandled. */
  wait(seq: number): Promise<void> {
    if (seq <= this.#stored) return Promise.resolve();
    if (this.#ended !== undefined) return rejected(this.#ended);
    this.#letGo ??= keepAlive();
    const promise = new Promise<void>((resolve, reject) => {
      this.#waiters.push({ seq, resolve, reject });
    });
    promise.catch(() => {});
    return promise;
  }

  /** Nobody will acknowledge any more. */
  end(reason: SeclogError): void {
    this.#ended = reason;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(reason);
    this.#letGoWhenDone();
  }

  #letGoWhenDone(): void {
    if (this.#waiters.length > 0) return;
    this.#letGo?.();
    this.#letGo = undefined;
  }
}
