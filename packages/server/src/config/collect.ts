import { SeclogError } from "seclog";

const VARIABLE = "SECLOG_COLLECT_SPOOL";

/**
 * The folder of a collector's spool: the option, or the variable.
 *
 * @throws SeclogError `SECLOG_CONFIG` without either
 */
export function collectSpool(option: string | undefined): string {
  const spool = option ?? process.env[VARIABLE];
  if (spool !== undefined && spool !== "") return spool;
  throw new SeclogError("SECLOG_CONFIG", `no spool: name the collector's folder with --spool, or in ${VARIABLE}`);
}
