/**
 * The calls of one source run concurrently and commit in their order: a source's position only moves forward, one batch
 * after the other.
 */
import { HandlerError } from "../ship/handler.ts";

interface Call {
  settled: boolean;
  /** Whether it committed. Never rejects. */
  readonly committed: Promise<boolean>;
}

const outcome = [() => true, () => false] as const;

export class CommitOrder {
  /** The latest call that has not settled. */
  #last: Call | undefined;

  /**
   * Starts a call. `previousCommitted()` resolves once the call before it has committed, and rejects when that one
   * failed: then this call must not commit either.
   */
  async run<T>(work: (previousCommitted: () => Promise<void>) => Promise<T>): Promise<T> {
    const previous = this.#last;
    const done = work(async () => {
      if (previous === undefined || (await previous.committed)) return;
      throw new HandlerError("retry", "PostgreSQL: the batch before this one was not stored");
    });
    const call: Call = { settled: false, committed: done.then(...outcome) };
    this.#last = call;
    try {
      return await done;
    } finally {
      call.settled = true;
      // The next call follows whichever call is still running.
      if (this.#last === call) this.#last = previous?.settled === false ? previous : undefined;
    }
  }
}
