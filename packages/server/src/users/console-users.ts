/** The console's users, their sessions and their views, as rows that only the console's role reads. */
import { createHash, randomBytes } from "node:crypto";
import type { UserRole } from "@seclog/api";
import { SeclogError } from "seclog";
import { databaseError } from "../database/failure.ts";
import { SessionPool } from "../database/session.ts";
import { InputError } from "../text/input-error.ts";
import { quoted } from "../text/words.ts";
import { checkPassword, Passwords, type Work } from "./password.ts";

/** A user, without what verifies the password. */
export interface ConsoleUser {
  readonly name: string;
  readonly role: UserRole;
}

export interface ConsoleUsersOptions {
  /** The console's connection URL. */
  readonly url: string;
  /** @default OWASP's */
  readonly work?: Work;
  /** After how many minutes without a request a session ends. @default 30 */
  readonly idleMinutes?: number;
}

/** A user's view, as a row. */
export interface ViewRow {
  readonly id: string;
  readonly name: string;
  readonly query: string;
  readonly since: string | null;
  /** As in the console's address: `time,level,type`. */
  readonly columns: string | null;
  readonly owner: string;
}

export const ROLES: readonly UserRole[] = ["analyst", "auditor", "admin"];
const SESSION_HOURS = 12;
const CODE_MINUTES = 60;
const NAME = /^[\p{L}\p{N}][\p{L}\p{N}._@+-]{0,99}$/u;
const MOST_VIEWS = 200;
const VIEW = "id, name, query, since, columns, owner";
const CONNECTIONS = 3;

export class ConsoleUsers {
  readonly passwords: Passwords;
  readonly #pool: SessionPool;
  readonly #idleMinutes: number;

  constructor({ url, work, idleMinutes = 30 }: ConsoleUsersOptions) {
    this.passwords = new Passwords(work);
    this.#idleMinutes = idleMinutes;
    this.#pool = new SessionPool(
      { role: "console", url, purpose: "seclog console", access: "READ WRITE" },
      CONNECTIONS,
    );
  }

  async list(): Promise<readonly ConsoleUser[]> {
    return await this.#rows<ConsoleUser>("SELECT name, role FROM seclog_console_user ORDER BY name");
  }

  /**
   * @param allowed asked last, once everything else is right
   * @throws InputError for a name or a password that cannot be used, or a name that exists
   */
  async add(
    { name, role }: ConsoleUser,
    password: string,
    allowed: () => Promise<boolean> = async () => true,
  ): Promise<void> {
    if (!NAME.test(name))
      throw new InputError(
        (named) => `the ${named("name")} ${quoted(name)} cannot be used: take letters, digits and ._@+-, at most 100`,
      );
    checkRole(role);
    checkPassword(password, name);
    const verifier = await this.passwords.verifier(password);
    if (!(await allowed()))
      throw new InputError(() => "the link has been used meanwhile: sign in as the user that it made");
    const added = await this.#rows(
      "INSERT INTO seclog_console_user (name, role, verifier) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING name",
      [name, role, verifier],
    );
    if (added.length === 0) throw new InputError(() => `the user ${name} exists already`);
  }

  /** Changes the role and ends the user's sessions. @throws InputError for an unknown user, and for the last admin */
  async setRole(name: string, role: UserRole): Promise<void> {
    checkRole(role);
    const changed = await this.#rows(
      `${LOCKED} UPDATE seclog_console_user SET role = $2 WHERE name = $1 AND ($2 = 'admin' OR ${NOT_LAST}) RETURNING name`,
      [name, role],
    );
    await this.#done(name, changed);
  }

  /** Sets the password and ends the user's sessions. @throws InputError for an unknown user, or a weak password */
  async setPassword(name: string, password: string): Promise<void> {
    checkPassword(password, name);
    const verifier = await this.passwords.verifier(password);
    const changed = await this.#rows("UPDATE seclog_console_user SET verifier = $2 WHERE name = $1 RETURNING name", [
      name,
      verifier,
    ]);
    await this.#done(name, changed);
  }

  /** Removes a user with their sessions and views. @throws InputError for an unknown user, and for the last admin */
  async remove(name: string): Promise<void> {
    const removed = await this.#rows(
      `${LOCKED} DELETE FROM seclog_console_user WHERE name = $1 AND ${NOT_LAST} RETURNING name`,
      [name],
    );
    await this.#done(name, removed);
    await this.#rows("DELETE FROM seclog_console_view WHERE owner = $1", [name]);
  }

  /** Starts a session of the user whose password it is. @throws Busy */
  async signIn(
    name: string,
    password: string,
  ): Promise<{ readonly user: ConsoleUser; readonly id: string } | undefined> {
    const [user] = await this.#rows<ConsoleUser & { readonly verifier: string }>(
      "SELECT name, role, verifier FROM seclog_console_user WHERE name = $1",
      [name],
    );
    const matches = await this.passwords.matches(password, user?.verifier);
    if (!matches || user === undefined) return undefined;
    const id = await this.#begin(name, user.verifier);
    return id === undefined ? undefined : { user: { name: user.name, role: user.role }, id };
  }

  /** Starts a session and returns its id, which is kept nowhere. Removes the sessions that have ended. */
  async begin(name: string): Promise<string> {
    const id = await this.#begin(name, undefined);
    if (id === undefined) throw new InputError(() => `the user ${name} was removed meanwhile`);
    return id;
  }

  /**
   * `undefined` if the user has another verifier meanwhile, or is gone. The lock orders it before a change of the user, which
   * then ends the session, or after it.
   */
  async #begin(name: string, verifier: string | undefined): Promise<string | undefined> {
    const id = secret();
    await this.#rows(`DELETE FROM seclog_console_session WHERE NOT (${ALIVE})`, [this.#idleMinutes]);
    const begun = await this.#rows(
      `INSERT INTO seclog_console_session (hash, name) SELECT $1, name FROM seclog_console_user
         WHERE name = $2 AND verifier = coalesce($3, verifier) FOR SHARE RETURNING 1`,
      [hashOf(id), name, verifier ?? null],
    );
    return begun.length === 0 ? undefined : id;
  }

  /** The user of a session that has not ended. */
  async userOf(id: string): Promise<ConsoleUser | undefined> {
    const [found] = await this.#rows<ConsoleUser & { readonly stale: boolean }>(
      `SELECT account.name, account.role, used_at < now() - interval '1 minute' AS stale
         FROM seclog_console_session JOIN seclog_console_user AS account USING (name) WHERE ${ALIVE} AND hash = $2`,
      [this.#idleMinutes, hashOf(id)],
    );
    if (found?.stale)
      await this.#rows("UPDATE seclog_console_session SET used_at = now() WHERE hash = $1", [hashOf(id)]);
    return found === undefined ? undefined : { name: found.name, role: found.role };
  }

  async end(id: string): Promise<void> {
    await this.#rows("DELETE FROM seclog_console_session WHERE hash = $1", [hashOf(id)]);
  }

  /** A code that makes the first user within an hour; the ones before end. `undefined` if there is a user. */
  async setupCode(): Promise<string | undefined> {
    if (await this.hasUsers()) return undefined;
    const code = secret();
    await this.#rows("DELETE FROM seclog_console_code");
    await this.#rows(
      "INSERT INTO seclog_console_code (hash, expires_at) VALUES ($1, now() + make_interval(mins => $2))",
      [hashOf(code), CODE_MINUTES],
    );
    return code;
  }

  async hasUsers(): Promise<boolean> {
    const [row] = await this.#rows<{ any: boolean }>("SELECT EXISTS (SELECT FROM seclog_console_user) AS any");
    return row?.any === true;
  }

  /** Whether the code makes the first user now. Called before the work of a password: a guess of the code costs nothing. */
  async isSetupCode(code: string): Promise<boolean> {
    const [row] = await this.#rows(
      `SELECT FROM seclog_console_code
         WHERE hash = $1 AND expires_at > now() AND NOT EXISTS (SELECT FROM seclog_console_user)`,
      [hashOf(code)],
    );
    return row !== undefined;
  }

  /** Uses the code up. Of two requests at once, one gets true. */
  async useSetupCode(code: string): Promise<boolean> {
    const used = await this.#rows(
      "DELETE FROM seclog_console_code WHERE hash = $1 AND expires_at > now() RETURNING 1",
      [hashOf(code)],
    );
    return used.length === 1;
  }

  /** Everyone's views. */
  async views(): Promise<readonly ViewRow[]> {
    return await this.#rows<ViewRow>(`SELECT ${VIEW} FROM seclog_console_view ORDER BY created_at, id`);
  }

  /** @throws InputError for a view that is too long, or one too many */
  async addView({ name, query, since, columns, owner }: Omit<ViewRow, "id">): Promise<ViewRow> {
    if (name.trim() === "" || name.length > 100 || query.length > 4_000)
      throw new InputError(() => "a view has a name of at most 100 characters and a query of at most 4000");
    const [row] = await this.#rows<ViewRow>(
      `INSERT INTO seclog_console_view (name, query, owner, since, columns) SELECT $1, $2, $3, $5, $6
         WHERE (SELECT count(*) FROM seclog_console_view WHERE owner = $3) < $4 RETURNING ${VIEW}`,
      [name, query, owner, MOST_VIEWS, since, columns],
    );
    if (row === undefined) throw new InputError(() => `${owner} has ${MOST_VIEWS} views: delete one`);
    return row;
  }

  /** Whether there was one of that owner, or of anyone if no owner is named. */
  async removeView(id: string, owner: string | undefined): Promise<boolean> {
    const removed = await this.#rows(
      "DELETE FROM seclog_console_view WHERE id::text = $1 AND owner = coalesce($2, owner) RETURNING 1",
      [id, owner],
    );
    return removed.length > 0;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  /** After a change of a user, their sessions end. */
  async #done(name: string, changed: readonly unknown[]): Promise<void> {
    if (changed.length > 0) {
      await this.#rows("DELETE FROM seclog_console_session WHERE name = $1", [name]);
      return;
    }
    const known = (await this.list()).some((user) => user.name === name);
    throw new InputError(() =>
      known
        ? `${name} is the last admin: make another one first`
        : `the user ${quoted(name)} does not exist: seclog users list names them`,
    );
  }

  async #rows<Row extends object>(text: string, values: unknown[] = []): Promise<readonly Row[]> {
    try {
      return (await this.#pool.query<Row>(text, values)).rows;
    } catch (error) {
      throw databaseError(error, "console");
    }
  }
}

const ALIVE = `used_at > now() - make_interval(mins => $1) AND started_at > now() - interval '${SESSION_HOURS} hours'`;

/** Two admins who remove each other at once must not both succeed. */
const LOCKED =
  "WITH admins AS MATERIALIZED (SELECT name FROM seclog_console_user WHERE role = 'admin' ORDER BY name FOR UPDATE)";
const NOT_LAST = "(role <> 'admin' OR EXISTS (SELECT FROM admins WHERE name <> $1))";

function checkRole(role: string): void {
  if ((ROLES as readonly string[]).includes(role)) return;
  throw new SeclogError("SECLOG_CONFIG", `the role ${quoted(role)} does not exist: take ${ROLES.join(", ")}`);
}

function secret(): string {
  return randomBytes(32).toString("base64url");
}

function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
