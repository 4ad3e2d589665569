import { once } from "node:events";
import type { ClientConfig, Pool } from "pg";
import { errorMessage, isError } from "../event/errors.ts";
import { clearTimeout, nextTurn, setTimeout } from "../runtime/timers.ts";
import { HandlerError } from "../ship/handler.ts";
import type { PostgresPool, PostgresPoolClient } from "./pool.ts";

/** Limits of time, in milliseconds. */
export interface SessionTimeouts {
  readonly connect: number;
  readonly statement: number;
}

/** The answer did not come in time, or the caller gave up: whether the server did it is not known. */
export class NoAnswerError extends HandlerError {
  override readonly name = "NoAnswerError";
}

/** How much longer than the server's own limit to wait before the connection counts as dead. */
const GRACE_MS = 2_000;

/**
 * One connection for one piece of work. Every wait has a limit and ends when `signal` aborts; the connection is
 * then destroyed, since an answer that comes later would be taken for the next question's.
 */
export class Session {
  readonly #client: PostgresPoolClient;
  readonly #timeouts: SessionTimeouts;
  readonly #signal: AbortSignal;
  #broken: Error | undefined;
  #breakOff: ((error: Error) => void) | undefined;
  /** A checked-out client reports a lost connection by an event too; without a listener that ends the process. */
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
   * Takes a connection from the pool: by a callback, since a promise's listener comes a moment after the pool has let
   * go of the client, and an error that the server sends in that moment would end the process.
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
      // A pool of ours has the same limit for connecting and says more about why.
      const timer = setTimeout(
        () => giveUp(new NoAnswerError("retry", `PostgreSQL: no connection within ${timeouts.connect} ms`)),
        timeouts.connect + GRACE_MS,
      );
      signal.addEventListener("abort", abort, { once: true });
      pool.connect((error, client) => {
        if (over) {
          client?.release();
        } else if (client === undefined) {
          giveUp(error ?? new Error("the pool gave no connection"));
        } else {
          finish();
          resolve(new Session(client, timeouts, signal));
        }
      });
    });
  }

  /** Runs a statement, or several when there are no values. Gives the rows. */
  async query(text: string, values?: unknown[]): Promise<unknown[]> {
    const { rows } = await this.#within(this.#timeouts.statement + GRACE_MS, () => this.#client.query(text, values));
    return rows;
  }

  /**
   * Runs statements of which the last is a `COPY … FROM STDIN`, and sends the rows as fast as they are taken.
   * The event loop gets a turn after each piece. When `rows` throws, the COPY fails and so does this.
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
        // The server refused a row and listens to no more of them: to write would throw, and hide why.
        if (failed) break;
        if (!stream.write(piece)) await this.#within(limit, () => Promise.race([once(stream, "drain"), finished]));
        await nextTurn();
      }
    } catch (error) {
      stream.destroy(asError(error));
      // The server's word that the COPY has failed comes before anything else can be asked.
      if (this.#broken === undefined) await this.#within(limit, () => finished).catch(() => {});
      throw error;
    }
    if (!failed) stream.end();
    await this.#within(limit, () => finished);
  }

  /** Gives the connection back, or destroys it when it is in an unknown state. */
  release(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#breakOff = undefined;
    const client = this.#client;
    client.release(this.#broken ?? false);
    // The socket of a destroyed client may still have something to say.
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

  /** Whether the connection was lost or given up: then what was last asked may have been done or not. */
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
        () => this.#break(new NoAnswerError("retry", `PostgreSQL: no answer within ${milliseconds} ms`)),
        milliseconds,
      );
    });
    const work = start();
    // Both may lose the race and reject later.
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

/** A pool of our own, made on the first batch: pg is loaded then, too. */
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
  // An idle connection that is lost is replaced when one is needed.
  pool.on("error", () => {});
  return pool;
}

function gaveUp(): NoAnswerError {
  return new NoAnswerError("retry", "PostgreSQL: given up before the answer came");
}

function asError(thrown: unknown): Error {
  return isError(thrown) ? thrown : new Error(errorMessage(thrown));
}
