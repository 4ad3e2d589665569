import type { Database } from "../database/reader.ts";
import { countBy, type Tally } from "./count-events.ts";
import type { EventFilter } from "./filter.ts";
import { type SourceState, type SourceTotals, sourceStates, sourceTotals } from "./sources.ts";

/** The matching events of a log, counted, and the sources of the log. */
export interface LogSummary {
  readonly events: number;
  /** The occurrences that the events represent: an event may represent many. */
  readonly occurrences: number;
  readonly level: readonly Tally[];
  readonly type: readonly Tally[];
  readonly ip: readonly Tally[];
  readonly hour: readonly Tally[];
  readonly totals: SourceTotals;
  /** The most recently active sources, regardless of the filter. */
  readonly sources: readonly SourceState[];
}

/** The number of levels. */
const LEVELS = 5;

/** Counts matching events by level, type, address and hour: `top` of each, and at least 24 hours. */
export async function summarize(database: Database, filter: EventFilter, top: number): Promise<LogSummary> {
  const level = await countBy(database, filter, "level", LEVELS);
  return {
    events: level.reduce((sum, tally) => sum + tally.events, 0),
    occurrences: level.reduce((sum, tally) => sum + tally.occurrences, 0),
    level,
    type: await countBy(database, filter, "type", top),
    ip: await countBy(database, filter, "ip", top),
    hour: await countBy(database, filter, "hour", Math.max(top, 24)),
    totals: await sourceTotals(database),
    sources: await sourceStates(database, top),
  };
}
