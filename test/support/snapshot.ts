import { SNAPSHOT_SETTINGS } from "../../packages/verify/src/database-log.ts";

/** The settings with which the program verifies a log in a transaction, for a test's own connection. */
export const SNAPSHOT_SQL: string = [
  "timezone = 'UTC'",
  "datestyle = 'ISO, YMD'",
  "bytea_output = 'hex'",
  "statement_timeout = 0",
  ...SNAPSHOT_SETTINGS,
]
  .map((setting) => `SET LOCAL ${setting}`)
  .join("; ");
