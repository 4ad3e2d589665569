/**
 * The administrator's connections during setup. Every setting, lock and role ends with its transaction: a pooler may
 * hand the connection to another client between transactions, and anything set for the session would stay with it.
 */
import type { Client } from "pg";
import { SeclogError } from "../../event/errors.ts";
import type { ConnectionConfig } from "../connection-config.ts";
import { errorCode } from "../failure.ts";

/**
 * Advisory locks, one for setups of the same server and one for setups of the same database. Distinct from the number
 * before them, which `seclog_ensure_partitions` locked in earlier versions.
 */
export const SERVER_LOCK = "91556946923336";
export const DATABASE_LOCK = "91556946923337";

const LOCK_NOT_AVAILABLE = "55P03";
/** The SQLSTATE of ownership.sql's warnings. */
const WARNING = "SL031";

/** Options of {@link SetupSession.open}. */
export interface SetupSessionOptions {
  readonly config: ConnectionConfig;
  /** Milliseconds to wait for another setup, or for a client that holds a lock on the log. */
  readonly lockTimeout: number;
  /** Called with each thing that could not be set up as it should, and why. */
  readonly onWarning: (warning: string) => void;
}

export class SetupSession {
  /** For statements that cannot run in a transaction, such as CREATE DATABASE. */
  readonly client: Client;
  readonly #lockTimeout: number;

  private constructor(client: Client, lockTimeout: number) {
    this.client = client;
    this.#lockTimeout = lockTimeout;
  }

  static async open({ config, lockTimeout, onWarning }: SetupSessionOptions): Promise<SetupSession> {
    const { default: pg } = await import("pg");
    const client = new pg.Client({
      ...config,
      application_name: "seclog setup",
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
    });
    // Without a listener a lost connection would end the process; the running statement fails anyway.
    client.on("error", () => {});
    client.on("notice", ({ code, message }) => {
      if (code === WARNING && message !== undefined) onWarning(message);
    });
    await client.connect();
    return new SetupSession(client, lockTimeout);
  }

  /**
   * Runs `work` in a transaction that holds `lock`.
   *
   * @throws SeclogError `SECLOG_SETUP`, naming the sessions that held a lock for longer than `lockTimeout`
   */
  async transaction<T>(lock: string, work: (client: Client) => Promise<T>): Promise<T> {
    try {
      await this.client.query(
        [
          "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
          // An object that shadows one of PostgreSQL's own must not run as the administrator.
          "SET LOCAL search_path = pg_catalog, pg_temp",
          "SET LOCAL client_min_messages = warning",
          "SET LOCAL statement_timeout = 0",
          "SET LOCAL idle_in_transaction_session_timeout = 60000",
          `SET LOCAL lock_timeout = ${this.#lockTimeout}`,
          `SELECT pg_advisory_xact_lock(${lock})`,
        ].join("; "),
      );
      const result = await work(this.client);
      await this.client.query("COMMIT");
      return result;
    } catch (error) {
      await this.client.query("ROLLBACK").catch(() => {});
      if (errorCode(error) !== LOCK_NOT_AVAILABLE) throw error;
      const holders = await this.#holders(lock).catch(() => []);
      throw new SeclogError(
        "SECLOG_SETUP",
        `another session held a lock that setup needs for ${this.#lockTimeout / 1000} s: ${holders.join("; ") || "it has ended since"}; wait for it, or end it: SELECT pg_terminate_backend(pid)`,
        { cause: error },
      );
    }
  }

  async end(): Promise<void> {
    await this.client.end().catch(() => {});
  }

  /** The sessions that hold the lock, or a lock on a table of the log, oldest transaction first. */
  async #holders(lock: string): Promise<string[]> {
    const { rows } = await this.client.query<{ holder: string }>(
      `SELECT format('pid %s (application %s, user %s)%s', pid, coalesce(nullif(application_name, ''), 'without a name'), usename,
          to_char(coalesce(xact_start, state_change) AT TIME ZONE 'UTC', '" since "YYYY-MM-DD HH24:MI:SS" UTC"')) AS holder
        FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND pid IN (
          SELECT held.pid FROM pg_locks AS held
            WHERE held.granted AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND CASE held.locktype
                WHEN 'advisory' THEN held.objsubid = 1 AND (held.classid::bigint << 32) | held.objid::bigint = $1
                WHEN 'relation' THEN held.relation IN (SELECT oid FROM pg_class
                  WHERE relnamespace = to_regnamespace('public') AND relname ~ '^(security_event_|seclog_)')
              END)
        ORDER BY xact_start LIMIT 3`,
      [lock],
    );
    return rows.map(({ holder }) => holder);
  }
}
