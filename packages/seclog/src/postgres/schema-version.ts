import { SeclogError } from "../event/errors.ts";
import { RUN_SETUP } from "./advice.ts";

/** A numbered change of the schema that this program knows: a plain SQL file in `schema/migrations/`. */
export interface KnownMigration {
  readonly id: number;
  /** The file's name. */
  readonly name: string;
  /** Whether older programs must refuse the schema. The file's first line is then `--! breaking`. */
  readonly breaking: boolean;
  /** SHA-256 of the file, in hexadecimal: an applied migration must never be edited. */
  readonly checksum: string;
}

/** {@link KnownMigration} with the file's text. */
export interface Migration extends KnownMigration {
  readonly sql: string;
}

/** A migration that the database records as applied. */
export interface AppliedMigration {
  readonly id: number;
  readonly breaking: boolean;
}

/**
 * Checks that this program may work on a database with these migrations.
 *
 * @returns a warning when the database is newer but compatible
 * @throws SeclogError `SECLOG_SCHEMA_NEWER` when a newer program made a breaking change, `SECLOG_SCHEMA_OLDER` when
 *   this program needs a migration that was not applied, `SECLOG_SCHEMA_MISSING` when the database has none
 */
export function checkSchemaVersion(
  own: readonly Pick<KnownMigration, "id">[],
  applied: readonly AppliedMigration[],
): string | undefined {
  if (applied.length === 0) {
    throw new SeclogError("SECLOG_SCHEMA_MISSING", `the database has no Seclog tables: ${RUN_SETUP}`);
  }
  const newest = Math.max(...own.map(({ id }) => id));
  const newer = applied.filter(({ id }) => id > newest);
  const breaking = newer.find((migration) => migration.breaking);
  if (breaking !== undefined) {
    throw new SeclogError(
      "SECLOG_SCHEMA_NEWER",
      `migration ${breaking.id} of the database is incompatible with this program, which knows up to ${newest}: ` +
        "use a newer seclog",
    );
  }
  const missing = own.find(({ id }) => !applied.some((migration) => migration.id === id));
  if (missing !== undefined) {
    throw new SeclogError("SECLOG_SCHEMA_OLDER", `the database lacks migration ${missing.id}: ${RUN_SETUP}`);
  }
  if (newer.length === 0) return undefined;
  return `the database was set up by a newer seclog (migration ${newer.at(-1)?.id}, this program knows up to ${newest})`;
}
