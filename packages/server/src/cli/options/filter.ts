import type { Command } from "commander";
import { LEVELS, OUTCOMES } from "seclog";

/** Adds the options that name a person: the same in `erase` and in the commands that show beforehand what it would erase. */
export function addPersonOptions(command: Command): Command {
  return command
    .option("--actor <id>", "who did it, also as userid in the event's data")
    .option("--target <id>", "whom or what it was done to, also as userid, newuserid or onuserid in the event's data")
    .option("--ip <address>", "client address or network: 203.0.113.9, 2001:db8::/32");
}

/** Adds the options that {@link parseFilter} reads, without those of time. */
export function addFilterOptions(command: Command): Command {
  return addPersonOptions(command)
    .option("--type <type...>", "event types; * stands for any text: authn_*")
    .option("--level <level>", `at least this severe: ${LEVELS.join(", ")}`)
    .option("--outcome <outcome...>", `any of ${OUTCOMES.join(", ")}`)
    .option("--category <category...>", "of these categories: authn, authz")
    .option("--method <method...>", "request methods: POST, PROPFIND")
    .option("--path <path>", "path prefix, or with * a pattern: /admin, /users/*/edit")
    .option("--route <route>", "the route's whole template: /users/:id")
    .option("--status <status...>", "response statuses: 403, 4xx, 500-599")
    .option("--host <host>", "the request's host, or the machine's")
    .option("--service <name>", "the application")
    .option("--text <text>", "text anywhere in the event, whatever the case");
}

/** Adds `--since` and `--until`. */
export function addTimeOptions(command: Command, since?: string): Command {
  return command
    .option("--since <time>", "from: 90s, 15m, 6h, 1d, 2w ago, or 2026-11-22[T10:30[Z]] (UTC)", since)
    .option("--until <time>", "up to, in the same forms");
}
