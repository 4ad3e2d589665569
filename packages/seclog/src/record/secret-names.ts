/** What the name of a value says about it, before the value is read. */

/**
 * How to treat a value by its name: `url` removes its query, `address` cuts addresses to their network, and `pseudonym`
 * is a hash that the application wants, whatever the value's form.
 */
export type NameRule = "keep" | "redact" | "hash" | "pseudonym" | "mask" | "url" | "address";

/** Part of a name, in lower case and without signs. */
const SECRET_PART =
  /passw(?:or)?d(?!less)|pwd|passhash|passphrase|passcode|secret(?!ar[yi])|apikey|accesskey|accountkey|privatekey|encryptionkey|signingkey|authorization|credential|bearer|connectionstring|databaseurl|(?:recovery|backup|verification|security|onetime|otp)codes?|creditcard|debitcard|cardnumber|mnemonic/;

/** Facts about a secret, which are not secret: `passwordChangedAt`, `credentialType`, `secretVersion`. */
const ABOUT_A_SECRET =
  /(?:passw(?:or)?d|pwd|secret|credential|apikey|accesskey|privatekey)s?(?:last|max|min|is|was)?(?:(?:age|policy|strength|length|count|attempts|type|changed|created|updated|rotated|expired|expires|expiry|required|enabled|status|algorithm|version)(?:at|on|date|time)?|reset(?:at|on|date|time)|at|date|time)$|credentialid$/;

/** Whose `pass` is a password; most other words that end so are not one, such as `compass` and `bypass`. */
export const PASS_OWNER =
  "(?:new|old|current|confirm|user|login|my|admin|root|db|database|sql|mysql|pg|postgres|redis|mongo|ldap|ftp|ssh|smtp|imap|mail|http|proxy)";

/** The end of a name. `tokens` alone and `accessTokens` are secrets, `maxTokens` and `tokenCount` are numbers. */
const SECRET_END = new RegExp(
  `(?:token(?:value|string|hash)?|(?:access|refresh|id|auth|api|session|reset|csrf)tokens|cookies?(?:jar|header|string|value)?|` +
    `authheaders?|otp|jwt|cvv2?|cvc2?|pincode|csrf|xsrf|card(?:no|nr|num)|ccnum(?:ber)?|amzsignature)$|^${PASS_OWNER}{1,2}pass$`,
);

const SECRET_NAMES: ReadonlySet<string> = new Set([
  ...["pass", "pin", "dsn", "tan", "tokens", "ssn", "rawheaders"],
  // Cards, whatever the value looks like: a number with a wrong digit is nearly the right one.
  ...["cc", "ccno", "ccnr", "card", "cards", "pan", "paymentcard", "bankcard", "cardpan"],
  // Only as whole names, since `auth` and `key` begin or end many harmless ones.
  ...["auth", "sshkey", "clientkey", "masterkey", "secretkey", "hmackey"],
]);

const HASHED = /^(?:session|sess|sid|ssid|jti)$|(?:sessionid|sessionkey|sessid|connectsid|tokenid)$/;

const URLS = /(?:url|uri|href|referr?er)$/;

/** Names whose numbers are ids, whatever they look like. */
const IDS = /(?:id|ids|uuid|guid|ulid)$/;

/**
 * Names whose numbers count or name something. A bare number under any other name may be a card's that a user typed.
 */
const NUMBERS =
  /^(?:n|no|nr)$|(?:orders?|invoices?|refs?|references?|numbers?|num|serial|seq|sequence|index|offset|version|counts?|accounts?|totals?|amounts?|sizes?|bytes|actor|target|user|customer|tenant|device)$/;

/** A name in lower case, letters and digits only: `User-Id`, `user_id` and `userId` are one. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
}

/** The rule for a plain name; `keep` if none applies. */
export function nameRule(plain: string): NameRule {
  if (HASHED.test(plain)) return "hash";
  if (SECRET_NAMES.has(plain) || SECRET_END.test(plain)) return "redact";
  if (SECRET_PART.test(plain) && !ABOUT_A_SECRET.test(plain)) return "redact";
  return URLS.test(plain) ? "url" : "keep";
}

/** Whether a value of this name is an id, so that its numbers are not card numbers. */
export function isIdName(name: string): boolean {
  return IDS.test(plainName(name));
}

/** Whether a bare number under this name counts or names something, so that it is not a card number. */
export function isNumberName(name: string): boolean {
  return NUMBERS.test(plainName(name));
}
