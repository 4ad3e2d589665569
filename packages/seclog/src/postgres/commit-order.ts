/** Who may go on when: the calls of one source in their order, and as many at a time as there are connections. */
import { HandlerError } from "../ship/handler.ts";
import { NoAnswerError } from "./session.ts";

interface Call {
  settled: boolean;
  /** Whether it stored its events. Never rejects. */
  readonly stored: Promise<boolean>;
}

const outcome = [() => true, () => false] as const;

/** The calls of one source: they work at the same time, and store one after the other. */
export class Turns {
  /** The last call that was begun and has not settled. */
  #last: Call | undefined;

  /**
   * Begins a call. Its `turn` resolves when the one before it has stored its events, and rejects when it has not:
   * then this one must not store anything either.
   */
  async take(work: (turn: () => Promise<void>) => Promise<void>): Promise<void> {
    const before = this.#last;
    const done = work(async () => {
      if (before === undefined || (await before.stored)) return;
      throw new HandlerError("retry", "PostgreSQL: the batch before this one was not stored");
    });
    const call: Call = { settled: false, stored: done.then(...outcome) };
    this.#last = call;
    try {
      await done;
    } finally {
      call.settled = true;
      // The next call follows whatever is still under way.
      if (this.#last === call) this.#last = before?.settled === false ? before : undefined;
    }
  }
}

/** How many may work at a time; the others wait in order. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async take(signal: AbortSignal): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(new NoAnswerError("retry", "PostgreSQL: given up before a connection was free"));
      };
      const go = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      if (signal.aborted) reject(new NoAnswerError("retry", "PostgreSQL: given up before a connection was free"));
      else {
        signal.addEventListener("abort", onAbort, { once: true });
        this.#waiting.push(go);
      }
    });
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
