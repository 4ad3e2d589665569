import type pg from "pg";
import { errorMessage } from "seclog";
import { checkSchemaVersion, migrations } from "seclog/postgres/schema";
import { commandLine } from "../config/program.ts";
import { oneRow } from "../database/failure.ts";
import type { Findings } from "./findings.ts";

/** Checks whether the tables exist, and whether this program knows their schema. Returns whether they exist. */
export async function checkSchema(client: pg.Client, findings: Findings): Promise<boolean> {
  const { there } = await oneRow<{ there: boolean }>(
    client,
    "SELECT to_regclass('public.security_event_log') IS NOT NULL AND to_regproc('public.seclog_describe') IS NOT NULL AS there",
  );
  if (!there) {
    findings.fault(
      "the database has no Seclog tables",
      `run ${commandLine("setup")}, or correct the database's name in the URL`,
    );
    return false;
  }
  try {
    const { applied } = await oneRow<{ applied: { id: number; breaking: boolean }[] | null }>(
      client,
      "SELECT migrations AS applied FROM public.seclog_describe()",
    );
    const warning = checkSchemaVersion(migrations(), applied ?? []);
    if (warning === undefined) findings.ok(`the schema is this program's (migration ${migrations().at(-1)?.id})`);
    else findings.warning(warning, "update seclog here as well");
  } catch (error) {
    findings.fault(errorMessage(error), "the schema and this program do not match");
  }
  return true;
}
