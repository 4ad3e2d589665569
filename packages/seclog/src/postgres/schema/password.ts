import type { Client } from "pg";
import { scramVerifier } from "./scram.ts";

/**
 * Sets a login role's password, as a SCRAM verifier passed as a parameter. ALTER ROLE takes no parameters, and its text
 * would show the verifier, from which passwords can be guessed offline, in `pg_stat_activity`, `pg_stat_statements` and
 * the server's log. So the statement reads role and verifier from settings that end with the transaction; call this
 * inside one.
 *
 * An existing verifier of the same password stays: a new one would have another salt, and a pooler that cached the old
 * one could no longer log in. Only a superuser can check that.
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

/** Raises the error again, since the context of the original quotes the statement. */
const ALTER_ROLE = `DO $$
BEGIN
  BEGIN
    -- pg_stat_statements may also track nested statements.
    PERFORM set_config('pg_stat_statements.track', 'none', true);
  EXCEPTION WHEN insufficient_privilege THEN
    NULL;
  END;
  EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', current_setting('seclog.role'), current_setting('seclog.verifier'));
EXCEPTION WHEN OTHERS THEN
  RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE;
END $$`;
