/**
 * One connection to PostgreSQL for one piece of work.
 *
 * Every wait has a limit and ends when the caller's signal aborts. The connection is then destroyed: a late reply would
 * be taken for the reply to the next statement. Transactions are `transaction.ts`'s.
 */
import { once } from "node:events";
import type { ClientConfig, Pool } from "pg";
import { errorMessage, isError } from "../event/errors.ts";
import { clearTimeout, nextTurn, setTimeout } from "../runtime/timers.ts";
import { HandlerError } from "../ship/handler.ts";
import type { PostgresPool, PostgresPoolClient } from "./pool.ts";

/** In milliseconds. */
export interface SessionTimeouts {
  readonly connect: number;
  readonly statement: number;
}

/** No reply came in time, or the caller gave up: the server may or may not have executed the statement. */
export class NoAnswerError extends HandlerError {
  override readonly name = "NoAnswerError";
}

/** Added to the server's own limit before the connection counts as dead. */
const GRACE_MS = 2_000;

export class Session {
  readonly #client: PostgresPoolClient;
  readonly #timeouts: SessionTimeouts;
  readonly #signal: AbortSignal;
  #broken: Error | undefined;
  #breakOff: ((error: Error) => void) | undefined;
  /** A checked-out client also emits "error" when its connection is lost; without a listener that ends the process. */
  readonly #onError = (error: Error): void => this.#break(error);
  readonly #onAbort = (): void => this.#break(gaveUp());

  private constructor(client: PostgresPoolClient, timeouts: SessionTimeouts, signal: AbortSignal) {
    this.#client = client;
    this.#timeouts = timeouts;
    this.#signal = signal;
    client.on("error", this.#onError);
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /**
   * Takes a connection from the pool. By callback, since a promise resolves a tick after the pool has removed its own
   * listener, and an error that the server sends in between would end the process.
   */
  static open(pool: PostgresPool, timeouts: SessionTimeouts, signal: AbortSignal): Promise<Session> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) throw gaveUp();
      let over = false;
      const finish = (): void => {
        over = true;
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
      };
      const giveUp = (error: Error): void => {
        finish();
        reject(error);
      };
      const abort = (): void => giveUp(gaveUp());
      // Our own pool has the same limit without the grace, and its error says more.
      const timer = setTimeout(
        () => giveUp(new NoAnswerError("retry", `PostgreSQL: no connection within ${timeouts.connect} ms`)),
        timeouts.connect + GRACE_MS,
      );
      signal.addEventListener("abort", abort, { once: true });
      pool.connect((error, client) => {
        if (over) {
          client?.release();
        } else if (client === undefined) {
          giveUp(error ?? new Error("the pool returned no connection"));
        } else {
          finish();
          resolve(new Session(client, timeouts, signal));
        }
      });
    });
  }

  /** Runs a statement, or several if values are left out. Returns the rows. */
  async query(text: string, values?: unknown[]): Promise<unknown[]> {
    const { rows } = await this.#within(this.#timeouts.statement + GRACE_MS, () => this.#client.query(text, values));
    return rows;
  }

  /**
   * Runs statements that end with a `COPY … FROM STDIN`, and sends the rows as fast as the server reads them. Yields to
   * the event loop after each piece. When `rows` throws, the COPY fails with that error.
   */
  async copy(text: string, rows: Iterable<Buffer>): Promise<void> {
    const { from } = await import("pg-copy-streams");
    const limit = this.#timeouts.statement + GRACE_MS;
    const stream = from(text);
    const finished = new Promise<void>((resolve, reject) => {
      stream.once("finish", resolve);
      stream.on("error", reject);
    });
    let failed = false;
    finished.catch(() => {
      failed = true;
    });
    await this.#within(limit, () => Promise.resolve(this.#client.query(stream)));
    try {
      for (const piece of rows) {
        // The server refused a row and ended the COPY: writing would throw, and hide the reason.
        if (failed) break;
        if (!stream.write(piece)) await this.#within(limit, () => Promise.race([once(stream, "drain"), finished]));
        await nextTurn();
      }
    } catch (error) {
      stream.destroy(asError(error));
      // The connection is usable again only once the server has reported that the COPY failed.
      if (this.#broken === undefined) await this.#within(limit, () => finished).catch(() => {});
      throw error;
    }
    if (!failed) stream.end();
    await this.#within(limit, () => finished);
  }

  /** Returns the connection to the pool, or destroys it when its state is unknown. */
  release(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#breakOff = undefined;
    const client = this.#client;
    client.release(this.#broken ?? false);
    // A destroyed client keeps its listener: its socket may still emit an error.
    if (this.#broken === undefined) client.removeListener("error", this.#onError);
  }

  /** Ends a transaction that failed. The connection stays usable unless even this fails. */
  async rollback(): Promise<void> {
    if (this.#broken !== undefined) return;
    try {
      await this.query("ROLLBACK");
    } catch (error) {
      this.#break(asError(error));
    }
  }

  /** Whether the connection was lost or abandoned: the last statement may or may not have been executed. */
  get broken(): boolean {
    return this.#broken !== undefined;
  }

  async #within<T>(milliseconds: number, start: () => Promise<T>): Promise<T> {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#signal.aborted) throw gaveUp();
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      this.#breakOff = reject;
      timer = setTimeout(
        () => this.#break(new NoAnswerError("retry", `PostgreSQL: no reply within ${milliseconds} ms`)),
        milliseconds,
      );
    });
    const work = start();
    // Whichever loses the race may still reject.
    work.catch(() => {});
    limit.catch(() => {});
    try {
      return await Promise.race([work, limit]);
    } finally {
      clearTimeout(timer);
      this.#breakOff = undefined;
    }
  }

  #break(error: Error): void {
    this.#broken ??= error;
    this.#breakOff?.(error);
  }
}

/** A pool of our own, for the first batch: nothing loads pg before. */
export async function openPool(
  config: ClientConfig,
  size: { readonly min: number; readonly max: number },
  timeouts: SessionTimeouts,
): Promise<Pool> {
  const { default: pg } = await import("pg");
  const pool = new pg.Pool({
    ...config,
    ...size,
    connectionTimeoutMillis: timeouts.connect,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    allowExitOnIdle: true,
  });
  // The pool replaces a lost idle connection when it needs one.
  pool.on("error", () => {});
  return pool;
}

function gaveUp(): NoAnswerError {
  return new NoAnswerError("retry", "PostgreSQL: gave up before the reply came");
}

function asError(thrown: unknown): Error {
  return isError(thrown) ? thrown : new Error(errorMessage(thrown));
}
