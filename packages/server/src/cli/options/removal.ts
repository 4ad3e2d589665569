/** Options of the commands that act as the owner of the tables: erase, prune, hold, retention. */
import { SeclogError } from "seclog";
import { RETENTION_CLASSES, type RetentionClass } from "../../retention/classes.ts";
import { quoted } from "../../text/words.ts";

/** The log's database, for commander's `option()`. */
export const DATABASE_OPTION = [
  "--database <name>",
  "the log's database (default: the one in the other roles' URLs, else seclog)",
] as const;

/** Keeps the event that records the reason within its limits. */
const LONGEST_REASON = 1_000;

/** @throws SeclogError `SECLOG_CONFIG` */
export function parseReason(text: string): string {
  if (text.trim() === "")
    throw new SeclogError("SECLOG_CONFIG", "--reason is empty: say why, for later readers of the record");
  if (text.length <= LONGEST_REASON) return text;
  throw new SeclogError("SECLOG_CONFIG", `--reason has ${text.length} characters; the limit is ${LONGEST_REASON}`);
}

/** @throws SeclogError `SECLOG_CONFIG` */
export function parseClass(option: string, text: string): RetentionClass {
  const known = RETENTION_CLASSES.find((name) => name === text);
  if (known !== undefined) return known;
  throw new SeclogError("SECLOG_CONFIG", `${option} ${quoted(text)} is not one of ${RETENTION_CLASSES.join(", ")}`);
}
