/** Places of the thread, then four of each handler. */
const THREAD = { beat: 0, ready: 1, length: 2 } as const;
const HANDLER = { acknowledged: 0, movedAt: 1, callingSince: 2, made: 3 } as const;
const PLACES = 4;

// Taken at import: fake timers of a test replace the function, and health must not stand still with them.
const { bigint } = process.hrtime;

/** Milliseconds on a monotonic clock that all threads share, which `performance.now()` is not. */
export function monotonic(): number {
  return Number(bigint() / 1_000_000n);
}

/**
 * How far the handlers are and whether the shipper's thread lives, in memory that both threads see: health is right
 * also while one of them is blocked. The shipper writes, the log reads; times are of {@link monotonic}, 0 for none.
 */
export class Progress {
  readonly shared: SharedArrayBuffer;
  readonly #at: BigInt64Array;

  /** @param shared what another thread's `Progress` has */
  constructor(
    handlers: number,
    shared: SharedArrayBuffer = new SharedArrayBuffer(
      (THREAD.length + handlers * PLACES) * BigInt64Array.BYTES_PER_ELEMENT,
    ),
  ) {
    this.shared = shared;
    this.#at = new BigInt64Array(shared);
  }

  /** A thread starts: it counts as alive now and is not ready, and the calls of the previous one are over. */
  begin(): void {
    this.beat();
    this.#store(THREAD.ready, 0);
    for (let place = THREAD.length; place < this.#at.length; place += PLACES) {
      this.#store(place + HANDLER.callingSince, 0);
      this.#store(place + HANDLER.made, 0);
    }
  }

  /** The thread's event loop turns. */
  beat(): void {
    this.#store(THREAD.beat, monotonic());
  }

  get lastBeat(): number {
    return this.#load(THREAD.beat);
  }

  /** All handlers are made and take events. */
  ready(): void {
    this.#store(THREAD.ready, monotonic());
  }

  get readySince(): number {
    return this.#load(THREAD.ready);
  }

  made(handler: number): void {
    this.#store(placeOf(handler) + HANDLER.made, 1);
  }

  isMade(handler: number): boolean {
    return this.#load(placeOf(handler) + HANDLER.made) === 1;
  }

  acknowledge(handler: number, seq: number): void {
    this.#store(placeOf(handler) + HANDLER.movedAt, monotonic());
    this.#store(placeOf(handler) + HANDLER.acknowledged, seq);
  }

  acknowledged(handler: number): number {
    return this.#load(placeOf(handler) + HANDLER.acknowledged);
  }

  movedAt(handler: number): number {
    return this.#load(placeOf(handler) + HANDLER.movedAt);
  }

  /** @param since when the oldest call of the handler that has not settled began; `undefined` when all have */
  calling(handler: number, since: number | undefined): void {
    this.#store(placeOf(handler) + HANDLER.callingSince, since ?? 0);
  }

  callingSince(handler: number): number {
    return this.#load(placeOf(handler) + HANDLER.callingSince);
  }

  #store(place: number, value: number): void {
    Atomics.store(this.#at, place, BigInt(value));
  }

  #load(place: number): number {
    return Number(Atomics.load(this.#at, place));
  }
}

function placeOf(handler: number): number {
  return THREAD.length + handler * PLACES;
}
