import { errorMessage } from "seclog";
import { inspectSpool } from "seclog/spool";
import { commandLine } from "../config/program.ts";
import { bytesText, counted } from "../text/words.ts";
import { type Check, Findings } from "./findings.ts";

/** Checks an application's spool. */
export function checkSpool(directory: string): readonly Check[] {
  const findings = new Findings("spool");
  let spool: ReturnType<typeof inspectSpool>;
  try {
    spool = inspectSpool(directory);
  } catch (error) {
    findings.fault(errorMessage(error), "run doctor as the application's user, on its machine");
    return findings.checks;
  }
  const mode = spool.mode.toString(8);
  if (spool.symbolicLink)
    findings.fault(`${directory} is a symbolic link, which the application refuses`, "name the folder itself");
  else if ((spool.mode & 0o022) !== 0) {
    findings.fault(`other users may write to ${directory} (mode ${mode})`, `chmod 0700 ${directory}`);
  } else if ((spool.mode & 0o077) !== 0) {
    findings.warning(
      `other users may enter ${directory} (mode ${mode}), and events name people`,
      `chmod 0700 ${directory}`,
    );
  } else findings.ok(`only the owner may enter ${directory} (mode ${mode})`);
  const left = spool.sources.filter((source) => !source.owned);
  const bytes = (list: typeof left): string => bytesText(list.reduce((sum, source) => sum + source.bytes, 0));
  const owned = spool.sources.filter((source) => source.owned);
  findings.ok(`${counted(owned.length, "source")} of running processes, ${bytes(owned)}`);
  if (left.length > 0) {
    findings.warning(
      `${counted(left.length, "source")} left behind by processes that have ended, ${bytes(left)}`,
      `the application ships them when it runs; for PostgreSQL, so does ${commandLine(`ship --spool ${directory}`)}`,
    );
  }
  if (spool.quarantineBytes > 0) {
    findings.warning(
      `quarantine.ndjson has ${bytesText(spool.quarantineBytes)} of records that could not be shipped`,
      "each line has its reason",
    );
  }
  return findings.checks;
}
