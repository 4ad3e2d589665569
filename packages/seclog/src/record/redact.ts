/**
 * What must not be kept. A log of security events is read by more people than the application's database, and for
 * longer; so a secret that strays into it is worse there than where it came from. Redaction is on by default and
 * looks at three things: the name of a value, the text itself, and paths that the application adds.
 *
 * Every built-in pattern is linear in the text (bounded repeats, no nested ones): the text is a stranger's.
 */
import { createHmac, randomBytes } from "node:crypto";
import { configError, rejectUnknownOptions } from "../event/options.ts";

/** What is kept in the place of a secret. */
export const REDACTED = "[redacted]";

/** How far a secret is looked for behind the place where a text of `data` is cut, so that no half of one is kept. */
export const LOOK_BEHIND_DATA_CUT = 4096;

/** What to redact beyond the defaults. */
export interface RedactOptions {
  /** More names whose values are secret, at any depth. Case, `-`, `_` and other signs do not matter. */
  readonly names?: readonly string[];
  /** Names that the defaults take for secret and that are not, such as `"pin"` on a map. */
  readonly keepNames?: readonly string[];
  /**
   * Paths whose values are secret: `"data.user.email"`, `"data.items.*.code"`, or the name of a text that is no data:
   * `"userAgent"`, `"actorId"`. `*` is any one step.
   */
  readonly paths?: readonly string[];
  /** More patterns of text that is secret. They are run over strangers' text: mind their backtracking. */
  readonly patterns?: readonly RegExp[];
  /**
   * The key, of 16 bytes at least, with which session and token ids are hashed, so that equal ones can be told
   * without being known. Give all processes the same one to compare across them.
   *
   * @default random, new in each process
   */
  readonly key?: string | Uint8Array;
}

/** What a name says about its value: `url` is one whose query is cut off. */
export type NameRule = "keep" | "redact" | "hash" | "url";

/** Knows what is secret. Made by {@link createRedactor}; none of its functions throws. */
export interface Redactor {
  /** The text with every secret in it replaced; the same string when there is none. */
  text(text: string): string;
  /** As `text`, for short texts of which the same come again and again: those without a secret are remembered. */
  repeatedText(text: string): string;
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

/** Texts of an event besides `data` that a path may name. */
const COLUMNS: readonly string[] = [
  ...["actorId", "actorType", "targetId", "targetType", "allowedMethods", "route", "path", "methodOriginal"],
  ...["ipAddress", "ipChain", "requestHost", "requestId", "userAgent"],
];

/** Part of a name, in lower case and without signs. */
const SECRET_PART =
  /passw(?:or)?d|pwd|passhash|passphrase|passcode|secret|apikey|accesskey|privatekey|encryptionkey|signingkey|authorization|credential|bearer|connectionstring|databaseurl|(?:recovery|backup|verification|security|onetime|otp)codes?|creditcard|cardnumber|mnemonic/;

/** Whose `pass` is a password: most other words that end so are none, such as `compass` and `bypass`. */
const PASS_OWNER =
  "(?:new|old|current|confirm|user|login|my|admin|root|db|database|sql|mysql|pg|postgres|redis|mongo|ldap|ftp|ssh|smtp|imap|mail|http|proxy)";

/** The end of a name. `tokens` alone and `accessTokens` are secrets, `maxTokens` and `tokenCount` are numbers. */
const SECRET_END = new RegExp(
  `(?:token(?:value|string|hash)?|(?:access|refresh|id|auth|api|session|reset|csrf)tokens|cookies?(?:jar|header|string|value)?|` +
    `authheaders?|otp|jwt|cvv2?|cvc2?|pincode|csrf|xsrf)$|^${PASS_OWNER}{1,2}pass$`,
);

const SECRET_NAMES: ReadonlySet<string> = new Set([
  ...["pass", "pin", "pan", "dsn", "tan", "tokens", "ssn", "rawheaders"],
  // Only complete, as `auth` and `key` begin or end many names that are harmless.
  ...["auth", "sshkey", "clientkey", "masterkey", "secretkey", "hmackey"],
]);

const HASHED = /^(?:session|sess|sid|ssid|jti)$|(?:sessionid|sessionkey|sessid|connectsid|tokenid)$/;

const URLS = /(?:url|uri|href|referr?er)$/;

/** No secret is shorter, and most values of events are. */
const SHORTEST = 8;

/** Texts are remembered up to this number: strangers choose them. */
const REMEMBERED = 1000;
const REMEMBERED_LENGTH = 512;

type Replacement = readonly [
  sign: number,
  pattern: RegExp,
  by: string | ((match: string, ...groups: string[]) => string),
];

// Signs of a secret. A pattern is tried only where its sign is, and most text has none: the tests for them are
// plain enough for the regular-expression engine to skip through the text.
const DASHES = 1;
const ASSIGNMENT = 2;
const URL_USER = 4;
const SCHEME = 8;
const PREFIX = 16;
const DIGITS = 32;

const ASSIGNS = /[=:]/;
const SECRET_WORDS = /pass|pwd|secret|token|key|authori|cookie|credential|otp|cvv|cvc|sess|sid|csrf/i;
const SCHEMES = /(?:bearer|basic)\s/i;
const PREFIXES = /eyJ|-----B|A(?:KIA|SIA)|[srp]k[-_]|gh[pousr]_|_pat_|whsec_|xox|xapp-|AIza|npm_|glpat-/;
/** Cards are grouped 4-4-4-4, 4-6-5 or 4-6-4, or not at all. */
const DIGIT_GROUPS = /\d{4}[ .-]?\d{4}/;

/** Which of the signs a text has. */
function signsIn(text: string): number {
  let signs = 0;
  if (PREFIXES.test(text)) signs |= PREFIX | DASHES;
  if (ASSIGNS.test(text)) {
    if (SECRET_WORDS.test(text)) signs |= ASSIGNMENT;
    if (text.includes("://") && text.includes("@")) signs |= URL_USER;
  }
  if (SCHEMES.test(text)) signs |= SCHEME;
  if (DIGIT_GROUPS.test(text)) signs |= DIGITS;
  return signs;
}

const SECRET_WORD = `passw(?:or)?d|passphrase|passcode|(?<![a-z])(?:${PASS_OWNER}[-_]?){0,2}pass|pwd|secret|token|api[-_ ]?key|(?:access|private)[-_ ]?key|authorization|cookie|credentials?|otp|cvv2?|cvc2?|sess(?:ion)?[-_]?id|(?<![a-z])sid|csrf`;
const NAME_END = "[\\w-]{0,20}[\\\\\"'\\]]{0,6}\\s{0,4}";

const TOKEN = "[A-Za-z0-9_-]";

const PATTERNS: readonly Replacement[] = [
  // A private key, also one whose end was cut off.
  [
    DASHES,
    /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)/g,
    REDACTED,
  ],
  // The header of a request, to the end of its line.
  [
    ASSIGNMENT,
    /\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)(["']?\s{0,4}:\s{0,4})[^\r\n]+/gi,
    `$1$2${REDACTED}`,
  ],
  // JWT, JWE and what else is Base64url of `{"`.
  [PREFIX, new RegExp(`eyJ${TOKEN}{11,}(?:\\.${TOKEN}*){0,4}`, "g"), REDACTED],
  // The password of a connection URL. A number and a slash after the colon are a port and a path.
  [URL_USER, /(:\/\/(?!\[)[^\s/?#:@]{0,256}:)(?!\d{1,5}(?:[/?#]|$))[^\s"'<>]{1,256}@/g, `$1${REDACTED}@`],
  [SCHEME, /(bearer|basic)(\s{1,4})([A-Za-z0-9._~+/=-]{6,})/gi, credentials],
  [PREFIX, /A(?:KIA|SIA)[A-Z0-9]{16}/g, REDACTED],
  [PREFIX, /(?:[srp]k_(?:live|test)_|whsec_)[A-Za-z0-9+/=_-]{8,}/g, REDACTED],
  [PREFIX, /sk-[A-Za-z0-9_-]{20,}/g, REDACTED],
  [PREFIX, /(?:gh[pousr]_|github_pat_|npm_)[A-Za-z0-9_]{20,}/g, REDACTED],
  [PREFIX, /(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}/g, REDACTED],
  [PREFIX, /(?:AIza|glpat-)[A-Za-z0-9_-]{20,}/g, REDACTED],
  // name=value and "name": "value", quoted with any depth of escaping, also one whose end was cut off.
  [
    ASSIGNMENT,
    new RegExp(
      `((?:${SECRET_WORD})${NAME_END}[=:]\\s{0,4})` +
        `(?:\\\\{1,4}"[^"]{0,1000}"?|"(?:[^"\\\\]|\\\\.){0,1000}"?|'(?:[^'\\\\]|\\\\.){0,1000}'?|[^\\s&]{1,1000})`,
      "gi",
    ),
    `$1${REDACTED}`,
  ],
  [DIGITS, /\d(?:[ -]?\d){12,}/g, cardNumbers],
  // Points only where all of a card's groups have them: else it is a fraction, or an address.
  [DIGITS, /(?<!\d\.?)\d{4}\.(?:\d{4}\.\d{4}\.\d{1,7}|\d{6}\.\d{4,5})(?!\.?\d)/g, cardNumbers],
];

/** "Basic authentication" is prose, "Basic dXNlcjpwYXNz" is not. */
function credentials(match: string, scheme: string, space: string, text: string): string {
  return /^[A-Za-z]?[a-z]{1,15}[.-]?$/.test(text) ? match : `${scheme}${space}${REDACTED}`;
}

/** The first digits of the cards of the large schemes; most other numbers of that length have others. */
const CARD = /^(?:4|5[0-8]|6[0-9]|2[2-7]|3[0-9])/;

/** Replaces the card numbers in a run of digits that may be grouped by spaces or hyphens. */
function cardNumbers(run: string): string {
  const groups = [...run.matchAll(/\d+/g)];
  let safe = "";
  let done = 0;
  for (let first = 0; first < groups.length; first++) {
    let digits = "";
    for (let last = first; last < groups.length && digits.length < 19; last++) {
      const group = groups[last];
      if (group === undefined) break;
      digits += group[0];
      if (digits.length < 13 || digits.length > 19 || !CARD.test(digits) || !passesLuhn(digits)) continue;
      safe += run.slice(done, groups[first]?.index) + REDACTED;
      done = group.index + group[0].length;
      first = last;
      break;
    }
  }
  return safe + run.slice(done);
}

/** The check digit of ISO/IEC 7812-1, annex B. */
function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let place = 0; place < digits.length; place++) {
    const digit = digits.charCodeAt(digits.length - 1 - place) - 48;
    sum += place % 2 === 0 ? digit : digit < 5 ? digit * 2 : digit * 2 - 9;
  }
  return sum % 10 === 0;
}

/**
 * The redactor of a log.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option at fault.
 */
export function createRedactor(options: RedactOptions = {}): Redactor {
  rejectUnknownOptions("redact", options, ["names", "keepNames", "paths", "patterns", "key"]);
  const own = new Set(strings("names", options.names).map(plainName));
  const kept = new Set(strings("keepNames", options.keepNames).map(plainName));
  const paths = strings("paths", options.paths).map((path) => {
    if (!/^[^.]+(\.[^.]+)*$/.test(path)) {
      throw configError("redact", "paths", `has ${JSON.stringify(path)}, which is no dotted path`);
    }
    const steps = path.split(".");
    const [first = ""] = steps;
    if (first === "data" ? steps.length === 1 : first !== "*" && (steps.length > 1 || !COLUMNS.includes(first))) {
      const known = `a path begins with data. or is one of ${COLUMNS.join(", ")}`;
      throw configError("redact", "paths", `has ${JSON.stringify(path)}, which names nothing: ${known}`);
    }
    return steps;
  });
  const patterns = (options.patterns ?? []).map((pattern): RegExp => {
    if (!(pattern instanceof RegExp)) {
      throw configError("redact", "patterns", `has ${typeof pattern}, which is no RegExp`);
    }
    return new RegExp(pattern.source, `${pattern.flags.replace(/[gy]/g, "")}g`);
  });
  const key = hashKey(options.key);

  const redact = (text: string): string => {
    if (text.length < SHORTEST && patterns.length === 0) return text;
    let safe = text;
    const signs = signsIn(text);
    if (signs !== 0) {
      for (const [sign, pattern, by] of PATTERNS) {
        if ((signs & sign) === 0) continue;
        safe = typeof by === "string" ? safe.replace(pattern, by) : safe.replace(pattern, by);
      }
    }
    for (const pattern of patterns) safe = safe.replace(pattern, REDACTED);
    return safe;
  };
  const harmless = new Set<string>();
  const columns = new Set(paths.flatMap((steps) => (steps.length === 1 ? steps : [])));

  return {
    text: redact,
    repeatedText(text) {
      if (harmless.has(text)) return text;
      const safe = redact(text);
      if (safe === text && text.length <= REMEMBERED_LENGTH) {
        if (harmless.size >= REMEMBERED) harmless.clear();
        harmless.add(text);
      }
      return safe;
    },
    rule(name) {
      const plain = plainName(name);
      if (kept.has(plain)) return "keep";
      if (own.has(plain)) return "redact";
      if (HASHED.test(plain)) return "hash";
      if (SECRET_NAMES.has(plain) || SECRET_END.test(plain) || SECRET_PART.test(plain)) return "redact";
      return URLS.test(plain) ? "url" : "keep";
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

function plainName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "");
}

function hashKey(key: string | Uint8Array | undefined): Uint8Array {
  if (key === undefined) return randomBytes(32);
  if (typeof key !== "string" && !(key instanceof Uint8Array))
    throw configError("redact", "key", "must be a string or bytes");
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
