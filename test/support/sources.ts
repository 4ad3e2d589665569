import { readdirSync } from "node:fs";

/** The sources in a spool, which also has a reserve and perhaps a quarantine. */
export function sourcesIn(spool: string): string[] {
  return readdirSync(spool).filter((name) => name.length === 36);
}
