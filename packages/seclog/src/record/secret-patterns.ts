/**
 * Secrets that are recognisable by their text. A match must not follow a letter or digit, or
 * `task-management-service` would contain an OpenAI key. Every pattern is linear in the text
 * (bounded repeats, no nested ones), since clients choose it.
 */
import { withoutCardNumbers } from "./card-numbers.ts";
import { REDACTED } from "./redacted.ts";
import { nameRule, PASS_OWNER, plainName } from "./secret-names.ts";

/** The built-in patterns, in the order of their application. */
export const SECRET_PATTERNS = [
  /** `-----BEGIN PRIVATE KEY-----` of any kind, and the private keys that sign a log. */
  "privateKey",
  /** The lines `Authorization: …`, `Cookie: …`, `X-Api-Key: …` of a request. */
  "header",
  /** JSON Web Tokens, and anything else that is Base64url of `{"`. */
  "jwt",
  /** The password in `postgresql://user:password@host`. */
  "urlPassword",
  /** The credentials after `Bearer` or `Basic`. */
  "scheme",
  /** Keys by their issuer's prefix: AWS, Stripe, OpenAI, GitHub, GitLab, Slack, Google, npm, … */
  "apiKey",
  /** `name=value` and `"name": "value"` where the name marks a secret. */
  "assignment",
  /** Payment cards, by issuer, length and check digit; not in ids. */
  "cardNumber",
] as const;

/** The name of a built-in pattern. */
export type SecretPattern = (typeof SECRET_PATTERNS)[number];

/** Secrets are at least this long, and most values of events are shorter. */
const SHORTEST_SECRET = 8;

// Signs of a secret. A pattern runs only on text that has its sign, and most text has none. The tests for signs are
// simple enough for the regular-expression engine to skip through the text.
const ASSIGNMENT = 1;
const URL_USER = 2;
const SCHEME = 4;
const PREFIX = 8;
const DIGITS = 16;

const ASSIGNS = /[=:]/;
const SECRET_WORDS = /pass|pwd|secret|token|key|authori|cookie|credential|otp|cvv|cvc|sess|sid|csrf|signature/i;
const SCHEMES = /(?:bearer|basic)\s/i;
const PREFIXES =
  /eyJ|-----B|E\+KEY|T-KEY-|A(?:KIA|SIA)|[srp]k[-_]|gh[pousr]_|_pat_|whsec_|xox|xapp-|AIza|npm_|glpat-|SG\.|ya29\.|GOCSPX-|hf_|shp[acps]|dop_v|pypi-|sq0|LTAI|AKID|dapi|hv[sbr]\.|pscale_|sbp_|glsa_|NRAK-|PMAK-|ATATT3|lin_api_|sntrys_|\d:AA|AccountKey=|[?&]sig=/;
/** Cards are grouped 4-4-4-4, 4-6-5, 4-6-4 or 6-13, or not at all. */
const DIGIT_GROUPS = /\d{4}[ .-]?\d{4}/;

/** The signs in a text. */
function signsIn(text: string): number {
  let signs = 0;
  if (PREFIXES.test(text)) signs |= PREFIX;
  if (ASSIGNS.test(text)) {
    if (SECRET_WORDS.test(text)) signs |= ASSIGNMENT;
    if (text.includes("://") && text.includes("@")) signs |= URL_USER;
  }
  if (SCHEMES.test(text)) signs |= SCHEME;
  if (DIGIT_GROUPS.test(text)) signs |= DIGITS;
  return signs;
}

const SECRET_WORD = `passw(?:or)?d|passphrase|passcode|(?<![a-z])(?:${PASS_OWNER}[-_]?){0,2}pass|pwd|secret|token|api[-_ ]?key|(?:access|account|private)[-_ ]?key|authorization|cookie|credentials?|otp|cvv2?|cvc2?|sess(?:ion)?[-_]?id|(?<![a-z])sid|csrf|x-amz-signature`;
const NAME_END = "[\\w-]{0,20}[\\\\\"'\\]]{0,6}\\s{0,4}";

const TOKEN = "[A-Za-z0-9_-]";

/** Keys with a prefix that their issuer chose so that leaks can be found. */
const API_KEYS = new RegExp(
  `(?<![A-Za-z0-9])(?:${[
    "A(?:KIA|SIA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    "(?:[srp]k_(?:live|test)_|whsec_)[A-Za-z0-9+/=_-]{8,}",
    // Not words only, such as a service's name in lower case.
    "sk-(?=[a-z_-]{0,40}[A-Z0-9])[A-Za-z0-9_-]{20,}",
    "gh[pousr]_[A-Za-z0-9]{20,}",
    "github_pat_[A-Za-z0-9_]{20,}",
    "npm_[A-Za-z0-9]{30,}",
    "(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}",
    "(?:AIza|glpat-|GOCSPX-|pypi-)[A-Za-z0-9_-]{20,}",
    "SG\\.[A-Za-z0-9_-]{16,32}\\.[A-Za-z0-9_-]{20,}",
    "ya29\\.[A-Za-z0-9_-]{20,}",
    "hf_[A-Za-z0-9]{30,}",
    "(?:shp(?:at|ca|pa|ss)_|dop_v1_)[a-f0-9]{30,}",
    "sq0(?:atp|csp)-[A-Za-z0-9_-]{20,}",
    // Alibaba and Tencent Cloud.
    "LTAI[A-Za-z0-9]{12,26}(?![A-Za-z0-9])",
    "AKID[A-Za-z0-9]{28,36}(?![A-Za-z0-9])",
    // Databricks, HashiCorp Vault, PlanetScale, Supabase, Grafana, New Relic, Postman, Atlassian, Linear, Sentry.
    "dapi[a-f0-9]{32}",
    "hv[sbr]\\.[A-Za-z0-9_-]{20,}",
    "(?:pscale_(?:tkn|oauth|pw)_|sbp_|glsa_|lin_api_|sntrys_)[A-Za-z0-9_=+/.-]{20,}",
    "(?:NRAK|PMAK|ATATT3)[A-Za-z0-9_=-]{20,}",
    // A bot of Telegram.
    "\\d{8,10}:AA[A-Za-z0-9_-]{33}",
  ].join("|")})`,
  "g",
);

type Replace = (text: string) => string;

const REPLACEMENTS: { readonly [P in SecretPattern]: readonly [sign: number, replace: Replace] } = {
  // Including a key whose end was cut off.
  privateKey: [
    PREFIX,
    (text) =>
      text.replace(
        /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)|PRIVATE\+KEY\+[^\s"']+|AGE-SECRET-KEY-1[A-Z0-9]+/g,
        REDACTED,
      ),
  ],
  header: [
    ASSIGNMENT,
    (text) =>
      text.replace(
        /\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)(["']?\s{0,4}:\s{0,4})[^\r\n]+/gi,
        `$1$2${REDACTED}`,
      ),
  ],
  jwt: [PREFIX, (text) => text.replace(JWT, REDACTED)],
  // A number and a slash after the colon are a port and a path.
  urlPassword: [
    URL_USER,
    (text) => text.replace(/(:\/\/(?!\[)[^\s/?#:@]{0,256}:)(?!\d{1,5}(?:[/?#]|$))[^\s"'<>]{1,256}@/g, `$1${REDACTED}@`),
  ],
  scheme: [SCHEME, (text) => text.replace(/(?<![a-z])(bearer|basic)(\s{1,4})([A-Za-z0-9._~+/=-]{6,})/gi, credentials)],
  apiKey: [
    PREFIX,
    // Also the signature of a link to Azure's storage.
    (text) => text.replace(API_KEYS, REDACTED).replace(/([?&]sig=)[A-Za-z0-9%+/=_-]{40,}/g, `$1${REDACTED}`),
  ],
  assignment: [ASSIGNMENT, (text) => text.replace(ASSIGNED, assigned)],
  cardNumber: [DIGITS, withoutCardNumbers],
};

const JWT = new RegExp(`(?<![A-Za-z0-9])eyJ${TOKEN}{11,}(?:\\.${TOKEN}*){0,4}`, "g");

/** Values quoted with any depth of escaping, including one whose end was cut off. */
const ASSIGNED = new RegExp(
  `((?:${SECRET_WORD})${NAME_END}[=:]\\s{0,4})` +
    `(?:\\\\{1,4}"[^"]{0,1000}"?|"(?:[^"\\\\]|\\\\.){0,1000}"?|'(?:[^'\\\\]|\\\\.){0,1000}'?|[^\\s&]{1,1000})`,
  "gi",
);

/** Names in text follow the same rules as in data: `secretary: Jane` and `maxTokens: 4096` stay. */
function assigned(match: string, head: string, offset: number, text: string): string {
  const before = /[\w-]*$/.exec(text.slice(Math.max(0, offset - 40), offset))?.[0] ?? "";
  const name = plainName(before + head);
  return nameRule(name) === "keep" && !name.endsWith("pass") ? match : head + REDACTED;
}

/** "Basic authentication" and "basic self-service" are prose, "Basic dXNlcjpwYXNz" is not. */
function credentials(match: string, scheme: string, space: string, text: string): string {
  const prose = /^[A-Za-z]?[a-z]{1,15}(?:[-/][a-z]{1,15})?[.-]?$/.test(text);
  return prose ? match : `${scheme}${space}${REDACTED}`;
}

/**
 * Returns a function that replaces every secret in a text, and returns the same string if it finds none.
 *
 * @param without the patterns to turn off
 */
export function secretReplacer(without: ReadonlySet<SecretPattern>): Replace {
  const wanted = SECRET_PATTERNS.filter((name) => !without.has(name)).map((name) => REPLACEMENTS[name]);
  return (text) => {
    if (text.length < SHORTEST_SECRET) return text;
    const signs = signsIn(text);
    if (signs === 0) return text;
    let safe = text;
    for (const [sign, replace] of wanted) if ((signs & sign) !== 0) safe = replace(safe);
    return safe;
  };
}
