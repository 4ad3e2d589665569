/** How old a month must be to be dropped. */
import { InputError } from "../text/input-error.ts";
import { quoted } from "../text/words.ts";

const UNITS = { d: "days", w: "weeks", m: "months", y: "years" } as const;

/** A span of time, as a PostgreSQL interval. */
export type Age = `${number} ${(typeof UNITS)[keyof typeof UNITS]}`;

/** Parses `400d`, `60w`, `18m` or `2y`. @throws SeclogError `SECLOG_CONFIG` */
export function parseAge(text: string): Age {
  const [, count, letter] = /^([1-9]\d{0,4})([dwmy])$/.exec(text) ?? [];
  if (letter !== undefined) return `${Number(count)} ${UNITS[letter as keyof typeof UNITS]}`;
  throw new InputError(
    (named) => `${named("olderThan")} ${quoted(text)} is not an age: write 400d, 60w, 18m (months) or 2y`,
  );
}

/** @throws SeclogError `SECLOG_CONFIG` for what {@link parseAge} would not return: PostgreSQL also takes negative spans */
export function requireAge(age: string): void {
  if (/^[1-9]\d{0,4} (?:days|weeks|months|years)$/.test(age)) return;
  throw new InputError(
    (named) =>
      `${named("olderThan")} ${quoted(age)} is not an age: expected a number from 1 and days, weeks, months or years`,
  );
}
