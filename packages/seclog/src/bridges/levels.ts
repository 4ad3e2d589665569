import type { Level } from "../event/level.ts";

/** The levels of pino, winston (npm, syslog), LogTape, bunyan, log4js and console. */
const LEVELS_BY_NAME: ReadonlyMap<string, Level> = new Map<string, Level>([
  ...["trace", "debug", "silly", "verbose", "finest"].map((name) => [name, "debug"] as const),
  ...["info", "log", "http", "notice"].map((name) => [name, "info"] as const),
  ...["warn", "warning"].map((name) => [name, "warning"] as const),
  ...["error", "err"].map((name) => [name, "error"] as const),
  ...["fatal", "crit", "critical", "alert", "emerg", "emergency"].map((name) => [name, "critical"] as const),
]);

/**
 * The level of another logger's record: by its name, or by pino's and bunyan's numbers (10 trace to 60 fatal), of which
 * an application may define others between. `undefined` if it is neither.
 */
export function levelOf(level: unknown): Level | undefined {
  if (typeof level === "string") return LEVELS_BY_NAME.get(level.toLowerCase());
  if (typeof level !== "number" || !(level > 0)) return undefined;
  if (level >= 60) return "critical";
  if (level >= 50) return "error";
  if (level >= 40) return "warning";
  return level >= 30 ? "info" : "debug";
}
