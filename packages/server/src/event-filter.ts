import { isIP } from "node:net";
import type { Command } from "commander";
import { isLevel, LEVELS, type Level, SeclogError } from "seclog";

/** Which events are meant. Everything given must hold. */
export interface EventFilter {
  readonly since?: Date;
  readonly until?: Date;
  /** Any of these; `*` stands for any text. */
  readonly types?: readonly string[];
  /** At least this severe. */
  readonly level?: Level;
  /** An address, or a network in CIDR form. */
  readonly ip?: string;
  readonly actor?: string;
  /** A prefix, or with `*` a pattern for the whole path. */
  readonly path?: string;
  /** Anywhere in the texts of the event, whatever the case. */
  readonly text?: string;
}

/** The options as commander hands them over. */
export interface FilterOptions {
  readonly since?: string;
  readonly until?: string;
  readonly type?: readonly string[];
  readonly level?: string;
  readonly ip?: string;
  readonly actor?: string;
  readonly path?: string;
  readonly text?: string;
}

/** Adds the options that {@link parseFilter} reads, without those of time. */
export function addFilterOptions(command: Command): Command {
  return command
    .option("--type <type...>", "event types; * stands for any text: authn_*")
    .option("--level <level>", `at least this severe: ${LEVELS.join(", ")}`)
    .option("--ip <address>", "client address or network: 203.0.113.9, 2001:db8::/32")
    .option("--actor <id>", "who did it")
    .option("--path <path>", "path prefix, or with * a pattern: /admin, /users/*/edit")
    .option("--text <text>", "text anywhere in the event, whatever the case");
}

/** Adds `--since` and `--until`. */
export function addTimeOptions(command: Command, since?: string): Command {
  return command
    .option("--since <time>", "from: 90s, 15m, 6h, 1d, 2w ago, or 2026-11-22[T10:30[Z]] (UTC)", since)
    .option("--until <time>", "up to, in the same forms");
}

/**
 * Checks what was typed.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option and the value
 */
export function parseFilter(options: FilterOptions, now: Date = new Date()): EventFilter {
  const { since, until, type, level, ip, actor, path, text } = options;
  const from = since === undefined ? undefined : parseTime("--since", since, now);
  const to = until === undefined ? undefined : parseTime("--until", until, now);
  if (from !== undefined && to !== undefined && from >= to) {
    throw new SeclogError("SECLOG_CONFIG", `--since ${since} is not before --until ${until}: nothing could match`);
  }
  for (const [name, value] of Object.entries({ actor, path, text })) {
    if (value === "") throw new SeclogError("SECLOG_CONFIG", `--${name} is empty: leave it out to match everything`);
    if (value?.includes("\0")) throw new SeclogError("SECLOG_CONFIG", `--${name} holds a NUL, which no event does`);
  }
  return {
    ...(from === undefined ? {} : { since: from }),
    ...(to === undefined ? {} : { until: to }),
    ...(type === undefined ? {} : { types: type.flatMap((list) => list.split(",")).map(parseType) }),
    ...(level === undefined ? {} : { level: parseLevel(level) }),
    ...(ip === undefined ? {} : { ip: parseNetwork(ip) }),
    ...(actor === undefined ? {} : { actor }),
    ...(path === undefined ? {} : { path }),
    ...(text === undefined ? {} : { text }),
  };
}

const SECONDS: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
  ["w", 604_800],
]);

/**
 * A time: so long ago, or a date with or without the time of day. Without an offset it is UTC, as everything that is printed.
 *
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function parseTime(option: string, text: string, now: Date): Date {
  const ago = /^(\d{1,9})([smhdw])$/.exec(text);
  let time = Number.NaN;
  if (ago !== null) time = now.getTime() - Number(ago[1]) * (SECONDS.get(ago[2] ?? "") ?? Number.NaN) * 1000;
  else if (/^\d{4}-\d\d-\d\d$/.test(text)) time = Date.parse(text);
  else if (/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?$/.test(text)) {
    time = Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text}Z`);
  }
  // The years that PostgreSQL and four digits have in common.
  if (time >= -62_135_596_800_000 && time < 253_402_300_800_000) return new Date(time);
  throw new SeclogError(
    "SECLOG_CONFIG",
    `${option} ${quoted(text)} is no time: write 15m, 6h, 1d, 2w or 2026-11-22T10:30Z`,
  );
}

function parseLevel(text: string): Level {
  if (isLevel(text)) return text;
  throw new SeclogError("SECLOG_CONFIG", `--level ${quoted(text)} is none of ${LEVELS.join(", ")}`);
}

function parseType(text: string): string {
  if (/^[a-z0-9_.:*-]{1,100}$/.test(text)) return text;
  throw new SeclogError(
    "SECLOG_CONFIG",
    `--type ${quoted(text)} cannot be an event type: they have a-z, 0-9 and _ . : -`,
  );
}

function parseNetwork(text: string): string {
  // Events have the IPv4 address itself where a socket reports it in its IPv6 form.
  const [address = "", bits, ...rest] = text
    .trim()
    .replace(/^::ffff:(?=\d+\.)/i, "")
    .split("/");
  const version = address.includes("%") ? 0 : isIP(address);
  const most = version === 4 ? 32 : 128;
  if (version !== 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most))) {
    return bits === undefined ? address : `${address}/${bits}`;
  }
  throw new SeclogError(
    "SECLOG_CONFIG",
    `--ip ${quoted(text)} is no address or network: write 203.0.113.9 or 10.0.0.0/8`,
  );
}

/** What was typed, as it can be printed again. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
