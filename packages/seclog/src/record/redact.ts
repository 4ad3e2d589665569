/**
 * What must not be stored. A log of security events is read by more people than the application's database, and for
 * longer, so a secret that strays into it does more harm there than where it came from. Redaction is on by default and
 * checks three things: the name of a value (secret-names.ts), the text itself (secret-patterns.ts), and paths that the
 * application adds.
 *
 * Ids are stored unchanged, since an event without its actor is worth little: a number in an id, a path, a host or a
 * user agent never counts as a card number.
 */

import { createHmac, randomBytes } from "node:crypto";
import { isRegExp, isUint8Array } from "node:util/types";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { columnsNamed, REDACTABLE } from "./redact-columns.ts";
import { REDACTED } from "./redacted.ts";
import { isIdName, isNumberName, type NameRule, nameRule, plainName } from "./secret-names.ts";
import { SECRET_PATTERNS, type SecretPattern, secretReplacer } from "./secret-patterns.ts";

export { REDACTED } from "./redacted.ts";

/** How far past the cut of a text in `data` to look for secrets, so that half of one is not stored. */
export const LOOK_BEHIND_DATA_CUT = 4096;

/** The most characters of a name in data to store, and to check. */
export const LONGEST_NAME = 200;

/** What to redact in addition to the defaults, and what to exempt. */
export interface RedactOptions {
  /**
   * More names whose values are secret: in data at any depth, and of an event's own texts (`actorId`, `userid`,
   * `target`, `client_ip`, `url`, `x-request-id`, `user_agent`, …), whose columns then hold `[redacted]`, or nothing if
   * they are not text. Case, `-`, `_` and other signs do not matter. A column that searches and proofs depend on
   * (`type`, `host`, `method`, `status_code`, …) cannot be redacted, and its name is refused; for a member of data with
   * that name, use `paths`.
   */
  readonly names?: readonly string[];
  /** Names that the defaults treat as secret but that are not, such as `"pin"` on a map. */
  readonly allowNames?: readonly string[];
  /**
   * Paths whose values are secret: `"data.user.email"`, `"data.items.*.code"`, or the name of a text outside data:
   * `"userAgent"`, `"actorId"`. `*` is any one step.
   */
  readonly paths?: readonly string[];
  /** More patterns of secret text. They run over text that clients choose: beware of backtracking. */
  readonly patterns?: readonly RegExp[];
  /**
   * Built-in patterns to turn off: `privateKey`, `header`, `jwt`, `urlPassword`, `scheme`, `apiKey`,
   * `assignment`, `cardNumber`.
   *
   * @default none
   */
  readonly allowPatterns?: readonly SecretPattern[];
  /**
   * The key, of at least 16 bytes, with which session and token ids are hashed, so that equal ones can be matched
   * without being stored. Use the same in all processes to match across them.
   *
   * @default random, new in each process
   */
  readonly key?: string | Uint8Array;
}

/** Decides what is secret. Created by {@link createRedactor}; its functions never throw. */
export interface Redactor {
  /** A free text with every secret in it replaced; the same string if it contains none. */
  text(text: string): string;
  /** Like `text`, for ids and texts that contain them: their numbers are not card numbers. */
  id(text: string): string;
  /** Whether the text was lately passed to {@link rememberPlain}. */
  isKnownPlain(text: string): boolean;
  /** Remembers a recurring text that is stored unchanged, unless it is long. */
  rememberPlain(text: string): void;
  /** Like `text` or `id`, for a value in data, by the last name on the path to it. */
  value(text: string, path: readonly string[]): string;
  /** What to do with a value of this name. */
  rule(name: string): NameRule;
  /** A keyed hash: equal ids have equal hashes, and testing a guess takes the key. */
  hash(id: string): string;
  /** Whether the application named this column as secret. */
  secretColumn(name: string): boolean;
  /** Whether the application named the value at this path, which begins with `data`, as secret. */
  secretPath(path: readonly string[]): boolean;
  /** Whether {@link secretPath} can ever be true. */
  readonly hasDataPaths: boolean;
}

/** The most texts to remember: clients choose them. */
const REMEMBERED = 1000;
const REMEMBERED_LENGTH = 512;

const DIGITS_ALONE = /^\d+$/;

/**
 * The redactor of a log.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option at fault
 */
export function createRedactor(options: RedactOptions = {}): Redactor {
  rejectUnknownOptions("redact", options, ["names", "allowNames", "paths", "patterns", "allowPatterns", "key"]);
  const own = plainNames("names", options.names);
  const kept = plainNames("allowNames", options.allowNames);
  for (const name of own) {
    if (kept.has(name)) throw configError("redact", "names", `and allowNames both have "${name}": which one is meant?`);
  }
  const paths = strings("paths", options.paths).map((path) => {
    if (!/^[^.]+(\.[^.]+)*$/.test(path)) {
      throw configError("redact", "paths", `has ${JSON.stringify(path)}, which is not a dotted path`);
    }
    const steps = path.split(".");
    const [first = ""] = steps;
    if (
      first === "data"
        ? steps.length === 1
        : first !== "*" && (steps.length > 1 || !REDACTABLE.some((column) => column === first))
    ) {
      const known = `a path begins with data. or is one of ${REDACTABLE.join(", ")}`;
      throw configError("redact", "paths", `has ${JSON.stringify(path)}, which names nothing: ${known}`);
    }
    return steps;
  });
  const patterns = (options.patterns ?? []).map((pattern): RegExp => {
    if (!isRegExp(pattern)) {
      throw configError("redact", "patterns", `has ${typeof pattern}, which is not a RegExp`);
    }
    return new RegExp(pattern.source, `${pattern.flags.replace(/[gy]/g, "")}g`);
  });
  const key = hashKey(options.key);

  const off = new Set(strings("allowPatterns", options.allowPatterns).map(checkedPattern));

  const withOwn = (replace: (text: string) => string): ((text: string) => string) => {
    if (patterns.length === 0) return replace;
    return (text) => patterns.reduce((safe, pattern) => safe.replace(pattern, REDACTED), replace(text));
  };
  const redact = withOwn(secretReplacer(off));
  const redactId = withOwn(secretReplacer(new Set([...off, "cardNumber"])));
  const plain = new Set<string>();
  const columns = new Set<string>(paths.flatMap((steps) => (steps.length === 1 ? steps : [])));
  for (const name of options.names ?? []) for (const column of columnsNamed(name)) columns.add(column);

  return {
    text: redact,
    id: redactId,
    value(text, path) {
      const safe = redact(text);
      if (safe === text) return text;
      const name = path.findLast((step) => !DIGITS_ALONE.test(step));
      if (name === undefined) return safe;
      return isIdName(name) || (DIGITS_ALONE.test(text) && isNumberName(name)) ? redactId(text) : safe;
    },
    isKnownPlain: (text) => plain.has(text),
    rememberPlain(text) {
      if (text.length > REMEMBERED_LENGTH) return;
      if (plain.size >= REMEMBERED) plain.clear();
      plain.add(text);
    },
    rule(name) {
      const known = plainName(name);
      if (kept.has(known)) return "keep";
      if (own.has(known)) return "redact";
      return nameRule(known);
    },
    hash(id) {
      return `hmac:${createHmac("sha256", key).update(id).digest("hex").slice(0, 32)}`;
    },
    secretColumn: (name) => columns.size > 0 && (columns.has(name) || columns.has("*")),
    secretPath(path) {
      return paths.some((secret) => {
        return secret.length === path.length && secret.every((step, i) => step === "*" || step === path[i]);
      });
    },
    hasDataPaths: paths.some(([first]) => first === "data" || first === "*"),
  };
}

/** @throws SeclogError `SECLOG_CONFIG` for a name that could never match */
function plainNames(option: string, names: readonly string[] | undefined): ReadonlySet<string> {
  const plain = strings(option, names).map((name): string => {
    if (name.length > LONGEST_NAME) {
      throw configError(
        "redact",
        option,
        `has a name of ${name.length} characters: names are kept up to ${LONGEST_NAME}`,
      );
    }
    const text = plainName(name);
    if (text !== "") return text;
    throw configError(
      "redact",
      option,
      `has ${JSON.stringify(name)}, which has no letter or digit: it would match nothing`,
    );
  });
  return new Set(plain);
}

function checkedPattern(name: string): SecretPattern {
  const known = SECRET_PATTERNS.find((pattern) => pattern === name);
  if (known !== undefined) return known;
  const problem = `has ${JSON.stringify(name)}; the built-in patterns are ${SECRET_PATTERNS.join(", ")}`;
  throw configError("redact", "allowPatterns", problem);
}

function hashKey(key: string | Uint8Array | undefined): Uint8Array {
  if (key === undefined) return randomBytes(32);
  if (typeof key !== "string" && !isUint8Array(key)) throw configError("redact", "key", "must be a string or bytes");
  const bytes = Buffer.from(key);
  if (bytes.length < 16) throw configError("redact", "key", `has ${bytes.length} bytes: 16 are the least`);
  return bytes;
}

function strings(option: string, values: readonly string[] | undefined): readonly string[] {
  if (values === undefined) return [];
  if (!Array.isArray(values)) throw configError("redact", option, "must be a list of strings");
  for (const value of values as readonly unknown[]) {
    if (typeof value !== "string" || value === "")
      throw configError("redact", option, `has ${String(value)}, which is not a name`);
  }
  return values;
}

/** Where a URL's query or fragment begins, or `-1`. Both may contain secrets, so neither is stored. */
export function queryStart(url: string): number {
  return url.search(/[?#]/);
}
