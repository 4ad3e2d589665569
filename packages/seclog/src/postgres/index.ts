export {
  type ConnectionConfig,
  checkName,
  connectionConfig,
  optionalSecretUrl,
  secretUrl,
  type TlsOption,
} from "./connection-config.ts";
export { ENTRY_COLUMNS, eventEntry, missingEntry, personalLine, quarantineEntry } from "./entry.ts";
export { poolerAdvice, tlsAdvice } from "./failure.ts";
export { createHandler, type PostgresHandlerOptions, postgresHandler } from "./handler.ts";
export type { CopyStream, PostgresPool, PostgresPoolClient } from "./pool.ts";
export { EVENT_SELECT, type EventRow, rowToEvent } from "./rows.ts";
export { type AccessRole, accessProblems, type Queryable } from "./schema/access.ts";
export { borrowOwner } from "./schema/borrow-owner.ts";
export { type Migration, migrations } from "./schema/migrations.ts";
export { type ForeignObject, foreignObjects } from "./schema/ownership.ts";
export { type SetupOptions, type SetupResult, setupDatabase } from "./schema/setup.ts";
export { type SetupSqlOptions, setupSql } from "./schema/setup-sql.ts";
export { type AppliedMigration, checkSchemaVersion } from "./schema-version.ts";
