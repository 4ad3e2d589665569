/**
 * The migrations with their SQL, for setup. The handler imports `known-migrations.generated.ts`, which keeps the SQL
 * out of bundles.
 */
import type { Migration } from "../schema-version.ts";
import { MIGRATIONS, OWNERSHIP_SQL, PRIVILEGES_SQL } from "./sql.generated.ts";

export type { Migration };

/** All migrations that this program knows, in order. */
export function migrations(): readonly Migration[] {
  return MIGRATIONS;
}

/** `privileges.sql`: every role's privileges. Not a migration, because every setup runs it to restore them. */
export function privilegesSql(): string {
  return PRIVILEGES_SQL;
}

/** `ownership.sql`: gives the database to its owner. Every setup runs it, as the administrator. */
export function ownershipSql(): string {
  return OWNERSHIP_SQL;
}
