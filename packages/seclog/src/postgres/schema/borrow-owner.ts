import { errorCode } from "../failure.ts";
import type { Queryable } from "./access.ts";
import { OWNER } from "./setup-sql.ts";

const INSUFFICIENT_PRIVILEGE = "42501";

/**
 * Lets an administrator who may not act as the owner do so for the rest of its transaction. It is made a member of the owner
 * and, by what is returned, is one no longer when the transaction commits: nobody else ever sees it.
 *
 * @throws what PostgreSQL says, 42501, when it may not be made one
 */
export async function borrowOwner(client: Queryable): Promise<() => Promise<void>> {
  await client.query("SAVEPOINT before_owner");
  try {
    await client.query(`SET LOCAL ROLE ${OWNER}`);
    await client.query("SET LOCAL ROLE NONE");
    return async () => {};
  } catch (error) {
    if (errorCode(error) !== INSUFFICIENT_PRIVILEGE) throw error;
    await client.query("ROLLBACK TO before_owner");
  }
  await client.query(`GRANT ${OWNER} TO CURRENT_USER`);
  return async () => {
    await client.query(`REVOKE ${OWNER} FROM CURRENT_USER`);
  };
}
