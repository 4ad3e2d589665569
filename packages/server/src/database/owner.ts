/** Acting as the owner of the tables: for what takes away from the log, or says what may be taken. */
import type pg from "pg";
import { SeclogError } from "seclog";
import { borrowOwner, checkName, foreignObjects } from "seclog/postgres/schema";
import { connectionUrl, requireUrl, roleConfig, URL_VARIABLES } from "../config/environment.ts";
import { commandLine } from "../config/program.ts";
import { databaseError, isCode } from "./failure.ts";
import { checkSchema, Session } from "./session.ts";

const OWNER = "seclog_owner";

/** The administrator in the log's database. */
export class OwnerConnection {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  /**
   * @param database the log's; where none is named, that of the other roles' URLs, as for setup
   * @param url the administrator's
   * @throws SeclogError `SECLOG_CONFIG`, `SECLOG_DATABASE`
   */
  static async open(database: string | undefined, url: string = requireUrl("admin")): Promise<OwnerConnection> {
    if (database?.trim() === "")
      throw new SeclogError("SECLOG_CONFIG", "--database is empty: give the database's name");
    checkName("database", database ?? "", (problem) => new SeclogError("SECLOG_CONFIG", `--database ${problem}`));
    try {
      const session = await Session.open({
        role: "admin",
        url,
        database: database ?? namedDatabase() ?? "seclog",
        purpose: "seclog",
        access: "READ WRITE",
        // A person or a month may be millions of rows.
        statementTimeout: 0,
        lockTimeout: 5_000,
        // Checked in each transaction, once there is the right to look.
        schema: "any",
      });
      return new OwnerConnection(session);
    } catch (error) {
      throw databaseError(error, "admin");
    }
  }

  /**
   * Does work as the owner in one transaction. An administrator who is no superuser is made a member of the owner in the same
   * one, and no longer is when it ends: nobody else ever sees it.
   *
   * @param end whether what was done stays
   * @throws SeclogError for every failure of the database; `isCode` still sees PostgreSQL's code
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

/** What belongs to another role would act as that one, if at all. */
async function refuseForeignObjects(client: pg.Client): Promise<void> {
  const [first] = await foreignObjects(client);
  if (first === undefined) return;
  throw new SeclogError(
    "SECLOG_DATABASE",
    `${first.name} belongs to ${first.owner}, not to ${OWNER}, as after a restore without owners: run ${commandLine("setup")}, which puts that right`,
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
  for (const role of ["writer", "reader", "sealer"] as const) {
    const url = connectionUrl(role);
    const database = url === undefined ? undefined : roleConfig(role, url).database;
    if (database !== undefined) return database;
  }
  return undefined;
}
