import { wholeNumber } from "../event/options.ts";

export const FLUSH_MS = 10_000;
export const CLOSE_MS = 5_000;

/** The longest deadline: a day, well below the 24 days of the longest timer. */
const LONGEST_MS = 86_400_000;

/**
 * The deadline of a call, in milliseconds.
 *
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function deadlineOf(where: string, options: { readonly deadline?: number }, otherwise: number): number {
  const { deadline } = options;
  if (deadline === Number.POSITIVE_INFINITY) return LONGEST_MS;
  return wholeNumber(where, "deadline", deadline, { default: otherwise, min: 0, max: LONGEST_MS });
}
