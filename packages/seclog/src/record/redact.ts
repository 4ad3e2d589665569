/**
 * What must not be kept. A log of security events is read by more people than the application's database, and for
 * longer; so a secret that strays into it is worse there than where it came from. Redaction is on by default and
 * looks at three things: the name of a value (secret-names.ts), the text itself (secret-patterns.ts), and paths that the
 * application adds.
 *
 * An id is kept as it is, since an event without its actor is worth little: no number in an id, a path, a host or a user
 * agent is taken for a card's.
 */

import { createHmac, randomBytes } from "node:crypto";
import { isRegExp, isUint8Array } from "node:util/types";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { columnsNamed, REDACTABLE } from "./redact-columns.ts";
import { REDACTED } from "./redacted.ts";
import { isIdName, isNumberName, type NameRule, nameRule, plainName } from "./secret-names.ts";
import { SECRET_PATTERNS, type SecretPattern, secretReplacer } from "./secret-patterns.ts";

export { REDACTED } from "./redacted.ts";

/** How far a secret is looked for behind the place where a text of `data` is cut, so that no half of one is kept. */
export const LOOK_BEHIND_DATA_CUT = 4096;

/** The most characters of a name of data that are kept, and looked at. */
export const LONGEST_NAME = 200;

/** What to redact beyond the defaults, and what not to. */
export interface RedactOptions {
  /**
   * More names whose values are secret: of data at any depth, and of an event's own texts (`actorId`, `userid`, `target`,
   * `client_ip`, `url`, `x-request-id`, `user_agent`, …), whose columns then hold `[redacted]`, or nothing where they hold no
   * text. Case, `-`, `_` and other signs do not matter. A column that searches and proofs rest on (`type`, `host`, `method`,
   * `status_code`, …) cannot be redacted, and its name is refused; `paths` name a member of data that is called so.
   */
  readonly names?: readonly string[];
  /** Names that the defaults take for secret and that are not, such as `"pin"` on a map. */
  readonly allowNames?: readonly string[];
  /**
   * Paths whose values are secret: `"data.user.email"`, `"data.items.*.code"`, or the name of a text that is no data:
   * `"userAgent"`, `"actorId"`. `*` is any one step.
   */
  readonly paths?: readonly string[];
  /** More patterns of text that is secret. They are run over strangers' text: mind their backtracking. */
  readonly patterns?: readonly RegExp[];
  /**
   * Built-in patterns that are not looked for: `privateKey`, `header`, `jwt`, `urlPassword`, `scheme`, `apiKey`,
   * `assignment`, `cardNumber`.
   *
   * @default none
   */
  readonly allowPatterns?: readonly SecretPattern[];
  /**
   * The key, of 16 bytes at least, with which session and token ids are hashed, so that equal ones can be told
   * without being known. Give all processes the same one to compare across them.
   *
   * @default random, new in each process
   */
  readonly key?: string | Uint8Array;
}

/** Knows what is secret. Made by {@link createRedactor}; none of its functions throws. */
export interface Redactor {
  /** A free text with every secret in it replaced; the same string when there is none. */
  text(text: string): string;
  /** As `text`, for an id and what else holds ids: a number in it is not a card's. */
  id(text: string): string;
  /** Whether the text is one of those that {@link rememberPlain} was given lately. */
  isKnownPlain(text: string): boolean;
  /** Remembers a text that is kept as it is, for one that comes again and again. Long ones are forgotten at once. */
  rememberPlain(text: string): void;
  /** As `text` or `id`: the text of a value of data, by the last name on the path to it. */
  value(text: string, path: readonly string[]): string;
  /** What to do with a value of this name. */
  rule(name: string): NameRule;
  /** A keyed hash: equal ids have equal ones, and nobody without the key can test a guess. */
  hash(id: string): string;
  /** Whether the application named this text, which is no data, as secret. */
  secretColumn(name: string): boolean;
  /** Whether the application named the value at this path, which begins with `data`, as secret. */
  secretPath(path: readonly string[]): boolean;
  /** Whether {@link secretPath} can ever be true. */
  readonly hasDataPaths: boolean;
}

/** Texts are remembered up to this number: strangers choose them. */
const REMEMBERED = 1000;
const REMEMBERED_LENGTH = 512;

const DIGITS_ALONE = /^\d+$/;

/**
 * The redactor of a log.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option at fault.
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
      throw configError("redact", "paths", `has ${JSON.stringify(path)}, which is no dotted path`);
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
      throw configError("redact", "patterns", `has ${typeof pattern}, which is no RegExp`);
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

/** @throws SeclogError `SECLOG_CONFIG` for a name that no value can have */
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
      throw configError("redact", option, `has ${String(value)}, which is no name`);
  }
  return values;
}

/** Where a URL's query or fragment begins, or `-1`. Both may hold secrets, and neither is kept. */
export function queryStart(url: string): number {
  return url.search(/[?#]/);
}
