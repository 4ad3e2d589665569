/**
 * For programs that set up, check and operate the database: setup, migrations, access checks, and a row's entry in the
 * tree.
 */
export {
  COLUMN_LIST,
  type ColumnKind,
  type ColumnTexts,
  columnsOf,
  type EventColumn,
  type EventMember,
} from "../../event/columns.ts";
export {
  type ConnectionConfig,
  checkName,
  connectionConfig,
  optionalSecretUrl,
  secretUrl,
} from "../connection-config.ts";
export { ENTRY_COLUMNS, eventEntry, missingEntry, personalLine, quarantineEntry } from "../entry.ts";
export { poolerAdvice, tlsAdvice } from "../failure.ts";
export { type AppliedMigration, checkSchemaVersion } from "../schema-version.ts";
export { type AccessRole, accessProblems, type Queryable } from "./access.ts";
export { borrowOwner } from "./borrow-owner.ts";
export { type Migration, migrations } from "./migrations.ts";
export { type ForeignObject, foreignObjects } from "./ownership.ts";
export { type SetupOptions, type SetupResult, setupDatabase } from "./setup.ts";
export { type SetupSqlOptions, setupSql } from "./setup-sql.ts";
