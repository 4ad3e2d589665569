import { errorCode } from "../failure.ts";
import type { Queryable } from "./access.ts";
import { OWNER } from "./setup-sql.ts";

const INSUFFICIENT_PRIVILEGE = "42501";

/**
 * Lets an administrator who may not act as the owner do so within its transaction, by granting it membership of the
 * owner. The function returned revokes that before the commit, so no other session ever sees the membership.
 *
 * @throws PostgreSQL's error 42501 when the administrator may not grant it
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
