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
import { withCutAddresses } from "../event/address.ts";
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { columnsNamed, isAddressName, REDACTABLE } from "./redact-columns.ts";
import { REDACTED } from "./redacted.ts";
import { isIdName, isNumberName, type NameRule, nameRule, plainName } from "./secret-names.ts";
import { SECRET_PATTERNS, type SecretPattern, secretReplacer } from "./secret-patterns.ts";

export { REDACTED } from "./redacted.ts";

/** How far past the cut of a text in `data` to look for secrets, so that half of one is not stored. */
export const LOOK_BEHIND_DATA_CUT = 4096;

/** The most characters of a name in data to store, and to check. */
export const LONGEST_NAME = 200;

/**
 * How to store a value: `never`, as a keyed hash by which equal values can be matched, masked to what a person
 * recognises (`a***@shop.example`, `***4242`), or as it is.
 */
export type PrivacyClass = "never" | "hash" | "mask" | "keep";

/** How many bits of an address to keep. */
export interface AddressBits {
  /** @default 24 */
  readonly ipv4?: number | undefined;
  /** @default 48 */
  readonly ipv6?: number | undefined;
}

/** What to redact in addition to the defaults, and what to exempt. */
export interface RedactOptions {
  /**
   * How to store a value, by its name or path as in `names` and `paths`: `{ email: "mask", "data.tax.id": "hash", userId:
   * "hash", userAgent: "never" }`. A list or an object of a class other than `keep` is redacted as a whole. An address
   * cannot be hashed or masked: see `addresses`. Text that is kept is still searched for secrets.
   */
  readonly classes?: { readonly [nameOrPath: string]: PrivacyClass } | undefined;
  /**
   * Whether to cut addresses to their network, in their column, in the chain of proxies, and in members of data that are
   * named as an address (`ip`, `clientIp`, `x-forwarded-for`, …). Floods and failed logins are still counted by the whole
   * address, in memory.
   *
   * @default false
   */
  readonly addresses?: boolean | AddressBits | undefined;
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
  readonly key?: string | Uint8Array | undefined;
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
  /** What is left of a masked text. */
  mask(text: string): string;
  /** The class of a column; `undefined` if the application has not given it one. */
  columnClass(name: string): Exclude<PrivacyClass, "keep"> | undefined;
  /** Whether the application named this column as secret. */
  secretColumn(name: string): boolean;
  /** The class of the value at this path, which begins with `data`; `undefined` if the application has given it none. */
  pathClass(path: readonly string[]): PrivacyClass | undefined;
  /** Whether {@link pathClass} can ever return a class. */
  readonly hasDataPaths: boolean;
  /** A text with every address in it cut to its network, where that is on. */
  addresses(text: string): string;
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
  rejectUnknownOptions("redact", options, [
    ...["classes", "addresses", "names", "allowNames", "paths", "patterns", "allowPatterns", "key"],
  ]);
  const classes = privacyClasses(options.classes);
  const own = plainNames("names", options.names);
  const kept = plainNames("allowNames", options.allowNames);
  for (const name of own) {
    if (kept.has(name)) throw configError("redact", "names", `and allowNames both have "${name}": which one is meant?`);
  }
  const paths = strings("paths", options.paths).map((path) => checkedPath("paths", path));
  const classOfName = new Map<string, PrivacyClass>();
  const classedPaths: { readonly steps: readonly string[]; readonly class: PrivacyClass }[] = [];
  const columns = new Map<string, PrivacyClass>();
  for (const [name, privacy] of classes) {
    if (name.includes(".")) {
      classedPaths.push({ steps: checkedPath("classes", name), class: privacy });
      continue;
    }
    const [plain = ""] = plainNames("classes", [name]);
    if (own.has(plain) || kept.has(plain)) {
      throw configError("redact", "classes", `has "${name}", which names or allowNames has, too: which one is meant?`);
    }
    classOfName.set(plain, privacy);
    for (const column of columnsNamed(name)) columns.set(column, checkedColumnClass(name, column, privacy));
  }
  for (const steps of paths) classedPaths.push({ steps, class: "never" });
  const address = addressBits(options.addresses);
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
  for (const steps of paths) if (steps.length === 1) for (const column of steps) columns.set(column, "never");
  for (const name of options.names ?? []) for (const column of columnsNamed(name)) columns.set(column, "never");
  const columnClass = (name: string): Exclude<PrivacyClass, "keep"> | undefined => {
    if (columns.size === 0) return undefined;
    const found = columns.get(name) ?? columns.get("*");
    return found === "keep" ? undefined : found;
  };

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
      const privacy = classOfName.get(known);
      if (privacy !== undefined) return RULES[privacy];
      if (address !== undefined && isAddressName(known)) return "address";
      return nameRule(known);
    },
    hash(id) {
      return `hmac:${createHmac("sha256", key).update(id).digest("hex").slice(0, 32)}`;
    },
    mask: masked,
    columnClass,
    secretColumn: (name) => columnClass(name) === "never",
    pathClass(path) {
      return classedPaths.find(({ steps }) => {
        return steps.length === path.length && steps.every((step, i) => step === "*" || step === path[i]);
      })?.class;
    },
    hasDataPaths: classedPaths.some(({ steps: [first] }) => first === "data" || first === "*"),
    addresses: (text) => (address === undefined ? text : withCutAddresses(text, address.ipv4, address.ipv6)),
  };
}

/** How the members of a class are treated. */
const RULES: { readonly [C in PrivacyClass]: NameRule } = {
  never: "redact",
  hash: "pseudonym",
  mask: "mask",
  keep: "keep",
};

/** @throws SeclogError `SECLOG_CONFIG` for anything but a class */
function privacyClasses(classes: RedactOptions["classes"]): readonly (readonly [string, PrivacyClass])[] {
  if (classes === undefined) return [];
  if (typeof classes !== "object" || classes === null || Array.isArray(classes)) {
    throw configError("redact", "classes", 'must be an object, such as { email: "mask" }');
  }
  return Object.entries(classes).map(([name, value]) => {
    if (Object.hasOwn(RULES, value)) return [name, value];
    const known = Object.keys(RULES).join(", ");
    throw configError("redact", "classes", `has ${name}: ${JSON.stringify(value)}; the classes are ${known}`);
  });
}

/** @throws SeclogError `SECLOG_CONFIG` for a path that can never match */
function checkedPath(option: string, path: string): readonly string[] {
  if (!/^[^.]+(\.[^.]+)*$/.test(path)) {
    throw configError("redact", option, `has ${JSON.stringify(path)}, which is not a dotted path`);
  }
  const steps = path.split(".");
  const [first = ""] = steps;
  const named = first === "*" || (steps.length === 1 && REDACTABLE.some((column) => column === first));
  if (first === "data" ? steps.length > 1 : named) return steps;
  const known = `a path begins with data. or is one of ${REDACTABLE.join(", ")}`;
  throw configError("redact", option, `has ${JSON.stringify(path)}, which names nothing: ${known}`);
}

/** Columns whose values have a form of their own, which neither a hash nor a masked text has. */
const FORMED: ReadonlySet<string> = new Set(["ipAddress", "ipChain", "traceId", "spanId"]);

function checkedColumnClass(name: string, column: string, privacy: PrivacyClass): PrivacyClass {
  if ((privacy !== "hash" && privacy !== "mask") || !FORMED.has(column)) return privacy;
  const instead = column.startsWith("ip") ? "use addresses to cut it to its network" : 'the class can be "never"';
  throw configError(
    "redact",
    "classes",
    `has ${name}: "${privacy}", which the column ${column} cannot hold: ${instead}`,
  );
}

function addressBits(option: RedactOptions["addresses"]): { readonly ipv4: number; readonly ipv6: number } | undefined {
  if (option === undefined || option === false) return undefined;
  const bits: AddressBits = option === true ? {} : option;
  rejectUnknownOptions("redact: addresses", bits, ["ipv4", "ipv6"]);
  return {
    ipv4: wholeNumber("redact: addresses", "ipv4", bits.ipv4, { default: 24, min: 0, max: 32 }),
    ipv6: wholeNumber("redact: addresses", "ipv6", bits.ipv6, { default: 48, min: 0, max: 128 }),
  };
}

/** What a person still recognises: the end of a long value, the first letter and the host of an e-mail address. */
function masked(text: string): string {
  const email = /^([^\s@])[^\s@]{0,255}(@[^\s@]{1,255})$/.exec(text);
  if (email !== null) return `${email[1]}***${email[2]}`;
  return `***${text.length >= 12 ? text.slice(-4) : text.length >= 8 ? text.slice(-2) : ""}`;
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
