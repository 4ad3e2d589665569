/** Options that are numbers, and the limit of time that the commands share. */
import { Option } from "commander";
import { SeclogError } from "seclog";
import { quoted } from "../../text/words.ts";

/**
 * A whole number from `least` to `most`.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option and the value
 */
export function parseCount(option: string, text: string, most: number, least = 1): number {
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value >= least && value <= most) return value;
  throw new SeclogError("SECLOG_CONFIG", `${option} ${quoted(text)} is not a number from ${least} to ${most}`);
}

/** How long one statement may take. */
export function timeoutOption(): Option {
  return new Option("--timeout <seconds>", "how long the database may take per page").default("30");
}

/** The milliseconds of `--timeout`. @throws SeclogError `SECLOG_CONFIG` */
export function parseTimeout(text: string): number {
  const seconds = Number(text);
  if (/^\d{1,5}$/.test(text) && seconds > 0) return seconds * 1000;
  throw new SeclogError("SECLOG_CONFIG", `--timeout ${quoted(text)} is not a number of seconds from 1 to 99999`);
}
