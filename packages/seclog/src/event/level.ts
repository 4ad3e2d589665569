/**
 * How severe an event is, in ascending order: a log with level `"warning"` records `warning`, `error` and `critical`.
 * The names are Python's, and PostgreSQL's enum `security_event_level` has them in the same order, so
 * `WHERE level >= 'warning'` works there too.
 */
export const LEVELS = ["debug", "info", "warning", "error", "critical"] as const;

/** One of {@link LEVELS}. */
export type Level = (typeof LEVELS)[number];

const RANK: ReadonlyMap<string, number> = new Map(LEVELS.map((level, rank) => [level, rank]));

/** Whether `value` names a level. */
export function isLevel(value: unknown): value is Level {
  return typeof value === "string" && RANK.has(value);
}

/** The position of a level in {@link LEVELS}: 0 (debug) to 4 (critical). */
export function levelRank(level: Level): number {
  return RANK.get(level) ?? 0;
}
