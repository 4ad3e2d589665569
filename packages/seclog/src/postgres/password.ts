import type { Client } from "pg";
import { scramVerifier } from "./scram.ts";

/**
 * Gives a login role its password: as a verifier, and that as a parameter. ALTER ROLE itself takes none, and its text would
 * show the verifier, with which passwords can be guessed offline, in `pg_stat_activity`, in `pg_stat_statements` and in the
 * server's log. So the text that the server sees reads both from settings that end with the transaction.
 */
export async function setPassword(admin: Client, role: string, password: string): Promise<void> {
  await admin.query("BEGIN");
  try {
    await admin.query("SELECT set_config('seclog.role', $1, true), set_config('seclog.verifier', $2, true)", [
      role,
      scramVerifier(password),
    ]);
    await admin.query(ALTER_ROLE);
    await admin.query("COMMIT");
  } catch (error) {
    await admin.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

/** The error is raised anew, since the context of the one inside quotes the statement. */
const ALTER_ROLE = `DO $$
BEGIN
  BEGIN
    -- Where pg_stat_statements keeps statements inside of others, too.
    PERFORM set_config('pg_stat_statements.track', 'none', true);
  EXCEPTION WHEN insufficient_privilege THEN
    NULL;
  END;
  EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', current_setting('seclog.role'), current_setting('seclog.verifier'));
EXCEPTION WHEN OTHERS THEN
  RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE;
END $$`;
