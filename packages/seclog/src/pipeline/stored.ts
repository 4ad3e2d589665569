import { rejected, type SeclogError } from "../event/errors.ts";
import { keepAlive } from "./keep-alive.ts";

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: SeclogError) => void;
}

/** How far each handler has the events of one source, and the promises that wait for the required ones. */
export class StoredPositions {
  readonly #acknowledged: number[];
  readonly #required: readonly boolean[];
  /** Roughly in ascending seq, since receipts are mostly awaited in the order of their events. */
  #waiters: Waiter[] = [];
  #stored = 0;
  /** Releases the hold on the process that lasts while a promise is pending. */
  #letGo: (() => void) | undefined;
  #ended: SeclogError | undefined;

  /** @param required whether each handler is required */
  constructor(required: readonly boolean[]) {
    this.#required = required;
    this.#acknowledged = required.map(() => 0);
    // Without a required handler, nothing to wait for.
    if (!required.includes(true)) this.#stored = Number.POSITIVE_INFINITY;
  }

  /** Every required handler has the events up to this number. */
  get stored(): number {
    return this.#stored;
  }

  /** Every handler, required or not, has the events up to this number. */
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

  /** Resolves once every required handler has the event, and keeps the process alive until then. May go unhandled. */
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

  /** Rejects what still waits, and every later wait: no more acknowledgements will come. */
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
