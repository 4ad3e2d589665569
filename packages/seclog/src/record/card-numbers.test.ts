import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { withoutCardNumbers } from "./card-numbers.ts";
import { REDACTED } from "./redacted.ts";

/** Numbers that issuers and payment providers publish for tests. None of them ever belonged to a card. */
const TEST_NUMBERS: readonly (readonly [issuer: string, number: string])[] = [
  ["Visa", "4111111111111111"],
  ["Visa", "4242424242424242"],
  ["Visa, 13 digits", "4222222222222"],
  ["Visa, 19 digits", "4917610000000000003"],
  ["Mastercard", "5555555555554444"],
  ["Mastercard, 2 series", "2223003122003222"],
  ["American Express", "378282246310005"],
  ["American Express", "341111111111111"],
  ["Diners Club", "30569309025904"],
  ["Diners Club", "38520000023237"],
  ["Diners Club", "36148900647913"],
  ["Discover", "6011111111111117"],
  ["JCB", "3530111333300000"],
  ["UnionPay", "6200000000000005"],
  ["UnionPay, 19 digits", "6205500000000000004"],
  ["Maestro", "6759649826438453"],
  ["Maestro", "6304000000000000"],
  ["Mir", "2200000000000004"],
];

function withCheckDigit(head: string): string {
  for (let check = 0; check <= 9; check++) {
    const sum = [...`${head}${check}`].reverse().reduce((total, digit, place) => {
      const value = Number(digit) * (place % 2 === 0 ? 1 : 2);
      return total + (value > 9 ? value - 9 : value);
    }, 0);
    if (sum % 10 === 0) return `${head}${check}`;
  }
  throw new Error("no check digit");
}

const digits = (length: number) => fc.stringMatching(new RegExp(`^[0-9]{${length}}$`));

/** Each issuer's ranges: the first digits, and how many follow before the check digit. */
const CARDS: { readonly [issuer: string]: fc.Arbitrary<string> } = {
  visa: digits(14).map((rest) => `4${rest}`),
  visa19: digits(17).map((rest) => `4${rest}`),
  mastercard: fc.tuple(fc.integer({ min: 51, max: 55 }), digits(13)).map(([bin, rest]) => `${bin}${rest}`),
  mastercard2: fc.tuple(fc.integer({ min: 2221, max: 2720 }), digits(11)).map(([bin, rest]) => `${bin}${rest}`),
  amex: fc.tuple(fc.constantFrom("34", "37"), digits(12)).map((parts) => parts.join("")),
  diners: fc.tuple(fc.constantFrom("300", "305", "360", "380", "390"), digits(10)).map((parts) => parts.join("")),
  discover: fc.tuple(fc.constantFrom("6011", "6440", "6499", "6500"), digits(11)).map((parts) => parts.join("")),
  jcb: fc.tuple(fc.integer({ min: 3528, max: 3589 }), digits(11)).map((parts) => parts.join("")),
  unionpay: digits(13).map((rest) => `62${rest}`),
  maestro: fc.tuple(fc.constantFrom("5018", "5020", "5893", "6304", "6759", "6761"), digits(11)).map((p) => p.join("")),
  mir: fc.tuple(fc.integer({ min: 2200, max: 2204 }), digits(11)).map((parts) => parts.join("")),
  rupay: fc.tuple(fc.constantFrom("6074", "6521", "8200", "5085"), digits(11)).map((parts) => parts.join("")),
};

/** The number grouped as on the card. */
function grouped(number: string, sign: string): string {
  if (number.length === 15 || number.length === 14) return number.replace(/^(.{4})(.{6})/, `$1${sign}$2${sign}`);
  return number.replace(/(.{4})(?=.)/g, `$1${sign}`);
}

describe("withoutCardNumbers()", () => {
  it.each(TEST_NUMBERS)("replaces the test number of %s: %s", (_, number) => {
    for (const text of [number, `paid with ${number}.`, `card:${number}, ok`, `"card":"${number}"`]) {
      expect(withoutCardNumbers(text)).toBe(text.replace(number, REDACTED));
    }
    if (number.length < 14) return;
    for (const sign of [" ", "-"]) {
      expect(withoutCardNumbers(`paid with ${grouped(number, sign)} 12/30`)).toBe(`paid with ${REDACTED} 12/30`);
    }
  });

  for (const [issuer, heads] of Object.entries(CARDS)) {
    it(`replaces any number of ${issuer}'s ranges`, () => {
      fc.assert(
        fc.property(heads, fc.constantFrom("", " ", "-"), (head, sign) => {
          const number = withCheckDigit(head);
          const printed = sign === "" ? number : grouped(number, sign);
          expect(withoutCardNumbers(`declined: ${printed} (x)`)).toBe(`declined: ${REDACTED} (x)`);
        }),
      );
    });
  }

  const KEPT: { readonly [what: string]: fc.Arbitrary<string> } = {
    // From 2015, Discord's and Twitter's epochs, to the middle of this century.
    "a snowflake": fc.bigInt({ min: 10n ** 16n, max: 4n * 10n ** 18n - 1n }).map(String),
    "microseconds since 1970": fc.bigInt({ min: 10n ** 15n, max: 2n * 10n ** 15n - 1n }).map(String),
    "milliseconds since 1970": fc.bigInt({ min: 10n ** 12n, max: 4n * 10n ** 12n - 1n }).map(String),
    "nanoseconds since 1970": fc.bigInt({ min: 10n ** 18n, max: 2n * 10n ** 18n - 1n }).map(String),
    "a UUID of digits": digits(32).map((text) => text.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")),
    "an address that ends in digits": digits(16).map((text) => `/orders/${text}`),
    "an order's number": digits(16).map((text) => `ORD-${text}`),
    "an id that says so": fc
      .tuple(fc.constantFrom("id=", "orderId: ", "user_id=", "the id "), digits(16))
      .map(([name, text]) => name + text),
    "a phone number": fc
      .tuple(fc.constantFrom("+4", "+49 ", "+1 ", "+44-"), digits(11))
      .map(([prefix, text]) => prefix + text),
    "a grouped phone number": digits(12).map(
      (t) => `+${t.slice(0, 2)} ${t.slice(2, 5)} ${t.slice(5, 8)} ${t.slice(8)}`,
    ),
    "an account number": fc
      .tuple(fc.constantFrom("DE", "GB", "FR", "PL"), digits(20), fc.boolean())
      .map(([country, rest, spaces]) => (spaces ? grouped(country + rest, " ") : country + rest)),
    "a fraction": digits(16).map((text) => `0.${text}`),
    "hexadecimal digits": digits(16).map((text) => `${text}ab`),
  };
  for (const [what, texts] of Object.entries(KEPT)) {
    it(`leaves ${what} alone`, () => {
      fc.assert(
        fc.property(texts, (text) => {
          expect(withoutCardNumbers(text)).toBe(text);
          expect(withoutCardNumbers(`seen ${text} today`)).toBe(`seen ${text} today`);
        }),
        { numRuns: 2_000 },
      );
    });
  }

  it("takes time in proportion to the text", () => {
    for (const part of ["4", "4 ", "4111 ", "4111-", "DE12 1234 ", "id ", "id=", "x4111111111111111"]) {
      withoutCardNumbers(part.repeat(200_000 / part.length));
    }
  });
});
