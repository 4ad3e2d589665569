/** The migrations with their SQL, for setup. A handler imports `known-migrations.generated.ts` and leaves the SQL out of a bundle. */
import type { Migration } from "../schema-version.ts";
import { MIGRATIONS, OWNERSHIP_SQL, PRIVILEGES_SQL } from "./sql.generated.ts";

export type { Migration };

/** All migrations that this program knows, in order. */
export function migrations(): readonly Migration[] {
  return MIGRATIONS;
}

/** Who may do what, for every setup to put right: `privileges.sql`, which is no migration because it is run each time. */
export function privilegesSql(): string {
  return PRIVILEGES_SQL;
}

/** Whose the database is, for every setup to put right: `ownership.sql`, which the administrator runs. */
export function ownershipSql(): string {
  return OWNERSHIP_SQL;
}
