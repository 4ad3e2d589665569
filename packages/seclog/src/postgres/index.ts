export { accessProblems, type Queryable } from "./access.ts";
export { connectionConfig, optionalSecretUrl, secretUrl, type TlsOption } from "./connection-config.ts";
export { createHandler, type PostgresHandlerOptions, postgresHandler } from "./handler.ts";
export { type Migration, migrations } from "./migrations.ts";
export { EVENT_SELECT, type EventRow, rowToEvent } from "./rows.ts";
export { type AppliedMigration, checkSchemaVersion } from "./schema-version.ts";
export type { PostgresPool, PostgresPoolClient } from "./session.ts";
export { type SetupOptions, type SetupResult, setupDatabase } from "./setup.ts";
export { type SetupSqlOptions, setupSql } from "./setup-sql.ts";
