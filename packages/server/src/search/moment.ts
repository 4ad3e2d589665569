import { readMoment } from "@seclog/api";
import { InputError } from "../text/input-error.ts";
import { quoted } from "../text/words.ts";

/**
 * Parses a time: an age, or a date with or without the time of day. Without an offset it is UTC, like all output.
 *
 * @param input its name, for the message
 * @throws InputError
 */
export function parseTime(input: string, text: string, now: Date): Date {
  const moment = readMoment(text, now);
  if ("time" in moment) return moment.time;
  throw new InputError((named) => `${named(input)} ${quoted(text)} is not a time: ${moment.why}`);
}
