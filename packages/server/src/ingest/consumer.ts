/** What the worker needs of an engine. One file in `consumers/` for each. */

/** Why a message cannot be stored. */
export interface DeadReason {
  /** A `SECLOG_…` code. */
  readonly code: string;
  readonly message: string;
}

/** A message from an engine. Exactly one of its methods is called, once. */
export interface Delivery {
  readonly bytes: Uint8Array;
  /** How often it was delivered, from 1, as far as the engine knows. */
  readonly attempts: number;
  /** When it was first queued, in milliseconds since the epoch; `undefined` if the engine does not say. */
  readonly queuedAt: number | undefined;
  /** Removes it from the queue: its events are committed. */
  done(): Promise<void>;
  /** Gives it back: any worker receives it again, after about this many milliseconds. */
  release(delayMs: number): Promise<void>;
  /** Moves it to the dead letters. */
  bury(reason: DeadReason): Promise<void>;
}

/** How much is waiting in an engine. */
export interface Backlog {
  /** Messages that are not yet stored, with those that workers hold. */
  readonly waiting: number;
  /** When the oldest of them was queued, in milliseconds since the epoch; `undefined` if none, or unknown. */
  readonly oldestQueuedAt: number | undefined;
  readonly dead: number;
}

/** A message that could not be stored. */
export interface DeadLetter extends DeadReason {
  /** Identifies it to {@link DeadLetters}; the engine's own. */
  readonly id: string;
  /** When it was buried, in milliseconds since the epoch. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** The place of an engine where dead letters lie. */
export interface DeadLetters {
  /** The oldest first, at most `limit`. */
  list(limit: number): Promise<readonly DeadLetter[]>;
  /** Puts it back into the queue. False if it is not there any more. */
  retry(id: string): Promise<boolean>;
  /** Deletes it. False if it is not there any more. */
  drop(id: string): Promise<boolean>;
}

/** A worker's connection to an engine. */
export interface Consumer {
  /** Its name in messages, such as `Redis`. */
  readonly title: string;
  /**
   * Passes on messages until `signal` aborts, and takes the next ones when `take` resolves: it does so at once while there is
   * room. Messages of one source keep their order as far as the engine keeps it. Rejects when the engine fails; the caller
   * then calls it again.
   */
  run(take: (delivery: Delivery) => Promise<void>, signal: AbortSignal): Promise<void>;
  /** Sends a position message to the sender of a source. It may be lost: the sender asks again. */
  answer(sourceId: string, message: Uint8Array): Promise<void>;
  backlog(): Promise<Backlog>;
  /** Why it cannot read some of the queue; `undefined` if it can. */
  readonly problem?: string | undefined;
  readonly dead: DeadLetters;
  close(): Promise<void>;
}

/** Where to consume. */
export interface ConsumerOptions {
  readonly url: string;
  /** The queue's name, as the handlers have it. */
  readonly queue: string;
  /** How many messages this worker may hold. */
  readonly prefetch: number;
  /** Receives failures that the consumer itself retries. */
  readonly onTrouble: (error: unknown) => void;
}
