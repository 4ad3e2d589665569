/**
 * A limit on concurrent work: as many calls at a time as there are connections. The others wait, first come first
 * served.
 */
import { NoAnswerError } from "./session.ts";

export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** @throws NoAnswerError when `signal` aborts before a slot is free */
  async acquire(signal: AbortSignal): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(proceed), 1);
        reject(gaveUp());
      };
      const proceed = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      if (signal.aborted) reject(gaveUp());
      else {
        signal.addEventListener("abort", onAbort, { once: true });
        this.#waiting.push(proceed);
      }
    });
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

function gaveUp(): NoAnswerError {
  return new NoAnswerError("retry", "PostgreSQL: gave up before a connection was free");
}
