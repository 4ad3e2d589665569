import type pg from "pg";
import { commandLine } from "../config/program.ts";
import { oneRow } from "../database/failure.ts";
import type { Findings } from "./findings.ts";

/** Checks whether the administrator can run setup. */
export async function checkAdmin(client: pg.Client, findings: Findings): Promise<void> {
  const { able } = await oneRow<{ able: boolean }>(
    client,
    "SELECT rolsuper OR (rolcreatedb AND rolcreaterole) AS able FROM pg_roles WHERE rolname = current_user",
  );
  if (able) findings.ok("may create databases and roles");
  else {
    findings.warning(
      "may not create databases and roles, so setup would fail if they are missing",
      `give the role CREATEDB and CREATEROLE, or let a superuser run what ${commandLine("setup --print-sql")} prints`,
    );
  }
}
