/** The options that select events, by the commands that share them. */

import { termsOf } from "@seclog/api";
import type { Command } from "commander";
import { LEVELS, OUTCOMES } from "seclog";
import { type EventFilter, type FilterOptions, parseFilter } from "../../search/filter.ts";
import { readQuery } from "../../search/filter-query.ts";

/** Adds the options that name a person, shared by `erase` and the commands that preview what it would erase. */
export function addPersonOptions(command: Command): Command {
  return command
    .option("--actor <id>", "who did it, also as userid in the event's data")
    .option("--target <id>", "who or what it was done to, also as userid, newuserid or onuserid in the event's data")
    .option("--ip <address>", "client address or network: 203.0.113.9, 2001:db8::/32");
}

/** Adds the options that {@link parseFilter} reads, except those of time. */
export function addFilterOptions(command: Command): Command {
  return addPersonOptions(command)
    .option("--type <type...>", "event types; * matches any text: authn_*")
    .option("--level <level>", `at least this severe: ${LEVELS.join(", ")}`)
    .option("--outcome <outcome...>", `any of ${OUTCOMES.join(", ")}`)
    .option("--category <category...>", "event categories: authn, authz")
    .option("--method <method...>", "request methods: POST, PROPFIND")
    .option("--path <path>", "path prefix, or a pattern with *: /admin, /users/*/edit")
    .option("--route <route>", "the whole route template: /users/:id")
    .option("--status <status...>", "response statuses: 403, 4xx, 500-599")
    .option("--host <host>", "the request's host, or the machine's")
    .option("--service <name>", "the application")
    .option("--text <text>", "text anywhere in the event, in any case");
}

/** Adds `--since` and `--until`. */
export function addTimeOptions(command: Command, since?: string): Command {
  return command
    .option("--since <time>", "start: 90s, 15m, 6h, 1d, 2w ago, or 2026-11-22[T10:30[Z]] (UTC)", since)
    .option("--until <time>", "end, in the same forms");
}

/**
 * The filter of a command that takes a query and options: an event must match both. A query that has its own start
 * replaces the default one.
 *
 * @param words the query, as the shell split it
 * @throws SeclogError `SECLOG_CONFIG`, `SECLOG_QUERY`
 */
export function parseSelection(
  words: readonly string[],
  options: FilterOptions,
  command: Command,
  now: Date = new Date(),
): EventFilter {
  const query = words.length === 0 ? undefined : readQuery(words.join(" "), now);
  const terms = query === undefined ? [] : termsOf(query);
  const hasOwnStart = terms.some((term) => term.kind === "term" && term.field === "since");
  const { since, ...others } = options;
  const isDefault = command.getOptionValueSource("since") === "default";
  const filter = parseFilter(since === undefined || (isDefault && hasOwnStart) ? others : options, now);
  return query === undefined ? filter : { ...filter, query };
}
