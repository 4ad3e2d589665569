export { type AccessRole, accessProblems, type Queryable } from "./access.ts";
export { borrowOwner } from "./borrow-owner.ts";
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
export { type Migration, migrations } from "./migrations.ts";
export { type ForeignObject, foreignObjects } from "./ownership.ts";
export type { CopyStream, PostgresPool, PostgresPoolClient } from "./pool.ts";
export { EVENT_SELECT, type EventRow, rowToEvent } from "./rows.ts";
export { type AppliedMigration, checkSchemaVersion } from "./schema-version.ts";
export { type SetupOptions, type SetupResult, setupDatabase } from "./setup.ts";
export { type SetupSqlOptions, setupSql } from "./setup-sql.ts";
