/** The connections of one handler or relay: its own pool or the application's, and a limit on how many are in use. */
import type { ClientConfig, Pool } from "pg";
import { clearTimeout, setTimeout } from "../runtime/timers.ts";
import { HandlerError } from "../ship/handler.ts";
import type { PostgresPool } from "./pool.ts";
import { openPool, Session, type SessionTimeouts } from "./session.ts";
import { Slots } from "./slots.ts";

/** How long `close` waits for connections to end. One still being opened would take up to `connectTimeout`. */
const CLOSE_MS = 1_000;

/** Where connections come from: a server that a pool of our own connects to, or the application's pool. */
export type Origin =
  | { readonly config: ClientConfig; readonly size: { readonly min: number; readonly max: number } }
  | { readonly pool: PostgresPool };

export class Connections {
  readonly timeouts: SessionTimeouts;
  readonly #origin: Origin;
  readonly #slots: Slots;
  #ownPool: Promise<Pool> | undefined;
  #closing: Promise<void> | undefined;

  constructor(origin: Origin, timeouts: SessionTimeouts) {
    this.#origin = origin;
    this.timeouts = timeouts;
    // Only its owner knows the size of the application's pool, which has a queue of its own.
    this.#slots = new Slots("pool" in origin ? Number.POSITIVE_INFINITY : origin.size.max);
  }

  /**
   * Runs `work` when it is its turn to use a connection; the turns are in the order of the calls. So a call that waits
   * for an earlier one while it has its turn never waits for one that has none.
   *
   * @throws HandlerError when closed, or when `signal` aborts before
   */
  async inTurn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    this.refuseClosed();
    await this.#slots.acquire(signal);
    try {
      return await work();
    } finally {
      this.#slots.release();
    }
  }

  /** Runs `work` on a connection. Call it in a turn. */
  async withSession<T>(signal: AbortSignal, work: (session: Session) => Promise<T>): Promise<T> {
    const session = await Session.open(await this.#pool(), this.timeouts, signal);
    try {
      return await work(session);
    } finally {
      session.release();
    }
  }

  refuseClosed(): void {
    if (this.#closing !== undefined) throw new HandlerError("retry", "PostgreSQL: the handler is closed");
  }

  /** Ends a pool of our own; the application ends its own. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const pool = await this.#ownPool?.catch(() => undefined);
    if (pool === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([pool.end(), late]);
    clearTimeout(timer);
  }

  async #pool(): Promise<PostgresPool> {
    if ("pool" in this.#origin) return this.#origin.pool;
    this.#ownPool ??= openPool(this.#origin.config, this.#origin.size, this.timeouts);
    return this.#ownPool;
  }
}
