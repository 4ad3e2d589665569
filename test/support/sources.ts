import { readdirSync } from "node:fs";

/** The sources in a spool: beside them it has a reserve of room, and perhaps a quarantine. */
export function sourcesIn(spool: string): string[] {
  return readdirSync(spool).filter((name) => name.length === 36);
}
