/** Acts as the owner of the tables, for the commands that remove from the log or decide what may be removed. */
import type pg from "pg";
import { SeclogError } from "seclog";
import { borrowOwner, checkName, foreignObjects } from "seclog/postgres/schema";
import { connectionUrl, requireUrl, roleConfig, URL_VARIABLES } from "../config/environment.ts";
import { commandLine } from "../config/program.ts";
import { InputError } from "../text/input-error.ts";
import { databaseError, isCode } from "./failure.ts";
import { checkSchema, Session } from "./session.ts";

const OWNER = "seclog_owner";

/** The administrator's connection to the log's database. */
export class OwnerConnection {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  /**
   * @param database the log's; by default the one in the other roles' URLs, as in setup
   * @param url the administrator's
   * @throws SeclogError `SECLOG_CONFIG`, `SECLOG_DATABASE`
   */
  static async open(database: string | undefined, url: string = requireUrl("admin")): Promise<OwnerConnection> {
    if (database?.trim() === "") throw new InputError((named) => `${named("database")} is empty: name the database`);
    checkName("database", database ?? "", (problem) => new InputError((named) => `${named("database")} ${problem}`));
    try {
      const session = await Session.open({
        role: "admin",
        url,
        database: database ?? namedDatabase() ?? "seclog",
        purpose: "seclog",
        access: "READ WRITE",
        // Erasing a person or dropping a month may touch millions of rows.
        statementTimeout: 0,
        lockTimeout: 5_000,
        // Each transaction checks it, once it has the right to read it.
        schema: "any",
      });
      return new OwnerConnection(session);
    } catch (error) {
      throw databaseError(error, "admin");
    }
  }

  /**
   * Does work as the owner in one transaction. An administrator without superuser rights becomes a member of the owner
   * inside the transaction and stops being one before it ends, so no other session ever sees the membership.
   *
   * @param end whether to keep the changes
   * @throws SeclogError for every database failure; `isCode` still finds PostgreSQL's code
   */
  async transaction<T>(end: "COMMIT" | "ROLLBACK", work: (client: pg.Client) => Promise<T>): Promise<T> {
    try {
      return await this.#session.transaction(
        async (client) => {
          await refuseForeignObjects(client);
          const giveBack = await becomeOwner(client);
          await checkSchema(client);
          const result = await work(client);
          await client.query("SET LOCAL ROLE NONE");
          await giveBack();
          return result;
        },
        { end },
      );
    } catch (error) {
      throw databaseError(error, "admin");
    }
  }

  async close(): Promise<void> {
    await this.#session.end();
  }
}

/** Refuses objects of another owner: functions among them would run with that role's rights. */
async function refuseForeignObjects(client: pg.Client): Promise<void> {
  const [first] = await foreignObjects(client);
  if (first === undefined) return;
  throw new SeclogError(
    "SECLOG_DATABASE",
    `${first.name} belongs to ${first.owner}, not to ${OWNER}, as after a restore without owners: run ${commandLine("setup")}, which fixes that`,
  );
}

async function becomeOwner(client: pg.Client): Promise<() => Promise<void>> {
  try {
    const giveBack = await borrowOwner(client);
    await client.query(`SET LOCAL ROLE ${OWNER}`);
    return giveBack;
  } catch (cause) {
    if (!isCode(cause, "42501")) throw cause;
    throw new SeclogError(
      "SECLOG_DATABASE",
      `the administrator may not act as ${OWNER}: name a superuser in ${URL_VARIABLES.admin}, or GRANT ${OWNER} TO it WITH ADMIN OPTION`,
      { cause },
    );
  }
}

function namedDatabase(): string | undefined {
  for (const role of ["writer", "reader", "sealer", "relay", "console"] as const) {
    const url = connectionUrl(role);
    const database = url === undefined ? undefined : roleConfig(role, url).database;
    if (database !== undefined) return database;
  }
  return undefined;
}
