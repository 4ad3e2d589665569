/**
 * Card numbers in free text. One number in ten passes the check digit, so that test alone would erase ids, phone
 * numbers and times. A card number also has an issuer's first digits, a length that this issuer uses, and stands by
 * itself, ungrouped or grouped as it is printed on a card.
 *
 * No issuer here has 17 or 18 digits, although ISO/IEC 7812 lets Maestro and UnionPay have them: nearly all numbers of
 * that length are snowflakes (Discord, Sonyflake), and hardly any such card was ever issued. Nor does any have 19
 * digits that begin below 4, as Twitter's snowflakes do.
 */
import { REDACTED } from "./redacted.ts";

/** First digits and lengths in use, by the issuers' own publications and ISO/IEC 7812. */
const ISSUERS: readonly { readonly begins: RegExp; readonly lengths: readonly number[] }[] = [
  // Visa
  { begins: /^4/, lengths: [13, 16, 19] },
  // Mastercard
  { begins: /^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, lengths: [16] },
  // American Express
  { begins: /^3[47]/, lengths: [15] },
  // Diners Club
  { begins: /^(?:30[0-5]|3095|36|3[89])/, lengths: [14, 16] },
  // JCB
  { begins: /^35(?:2[89]|[3-8])/, lengths: [16] },
  // Discover
  { begins: /^(?:6011|64[4-9]|65)/, lengths: [16, 19] },
  // UnionPay
  { begins: /^(?:62|81)/, lengths: [16, 19] },
  // Maestro
  { begins: /^(?:50|5[6-8]|6304|639|67)/, lengths: [16, 19] },
  // Mir
  { begins: /^220[0-4]/, lengths: [16] },
  // RuPay
  { begins: /^(?:60|82|508)/, lengths: [16] },
  // Troy, UzCard, Humo
  { begins: /^(?:9792|8600|9860)/, lengths: [16] },
];

/** An account number (ISO 13616) as printed, whose groups of four may look like a card's. */
const IBAN = "\\b[A-Z]{2}\\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?\\b";

/** Part of a longer word, number, path or phone number, or named as an id. */
const NOT_AFTER = `(?<![\\w+/#@-]|\\d\\.|(?:\\bid|_id|Id|ID)["']?\\s{0,2}[=:]?\\s{0,2}["']?)`;

/** 4-4-4-4, 4-4-4-4-3, 4-6-5, 4-6-4 and 6-13, with one sign between the groups. */
const GROUPED =
  "\\d{4}(?<sign>[ .-])(?:\\d{4}\\k<sign>\\d{4}\\k<sign>\\d{4}(?:\\k<sign>\\d{3})?|\\d{6}\\k<sign>\\d{4,5})";
const GROUPED_IN_TWO = "\\d{6}[ -]\\d{13}";

const CANDIDATE = new RegExp(
  `${IBAN}|${NOT_AFTER}(?<![\\w][.-])(?:${GROUPED}|${GROUPED_IN_TWO}|\\d{13,16}|\\d{19})(?!\\w|[.-]\\w)`,
  "g",
);

/** The text with every card number replaced. */
export function withoutCardNumbers(text: string): string {
  return text.replace(CANDIDATE, (match) => (isCardNumber(match.replace(/[ .-]/g, "")) ? REDACTED : match));
}

function isCardNumber(digits: string): boolean {
  const known = ISSUERS.some(({ begins, lengths }) => lengths.includes(digits.length) && begins.test(digits));
  return known && passesLuhn(digits);
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
