import type { Client } from "pg";
import { scramVerifier } from "./scram.ts";

/**
 * Gives a login role its password: as a verifier, and that as a parameter. ALTER ROLE itself takes none, and its text would
 * show the verifier, with which passwords can be guessed offline, in `pg_stat_activity`, in `pg_stat_statements` and in the
 * server's log. So the text that the server sees reads both from settings that end with the transaction, in which the
 * caller must be.
 *
 * A verifier that is there and fits stays: a new one has another salt, and a pooler that keeps the old one could log in no
 * more. Only a superuser can see that.
 */
export async function setPassword(admin: Client, role: string, password: string): Promise<void> {
  if (await hasPassword(admin, role, password)) return;
  await admin.query("SELECT set_config('seclog.role', $1, true), set_config('seclog.verifier', $2, true)", [
    role,
    scramVerifier(password),
  ]);
  await admin.query(ALTER_ROLE);
}

async function hasPassword(admin: Client, role: string, password: string): Promise<boolean> {
  const { rows } = await admin.query<{ superuser: boolean }>(
    "SELECT rolsuper AS superuser FROM pg_roles WHERE rolname = current_user",
  );
  if (rows[0]?.superuser !== true) return false;
  const { rows: known } = await admin.query<{ verifier: string | null }>(
    "SELECT rolpassword AS verifier FROM pg_authid WHERE rolname = $1 AND rolcanlogin",
    [role],
  );
  const verifier = known[0]?.verifier ?? "";
  const [, iterations, salt] = /^SCRAM-SHA-256\$(\d{1,7}):([\w+/=]+)\$/.exec(verifier) ?? [];
  if (iterations === undefined || salt === undefined) return false;
  return scramVerifier(password, Buffer.from(salt, "base64"), Number(iterations)) === verifier;
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
