import { SNAPSHOT_SETTINGS } from "../../packages/verify/src/raw-log.ts";

/** What the program sets in a transaction in which a log is verified, for a test's own connection. */
export const SNAPSHOT_SQL: string = [
  "timezone = 'UTC'",
  "datestyle = 'ISO, YMD'",
  "bytea_output = 'hex'",
  "statement_timeout = 0",
  ...SNAPSHOT_SETTINGS,
]
  .map((setting) => `SET LOCAL ${setting}`)
  .join("; ");
