import { SeclogError } from "./errors.ts";

/**
 * Refuses unknown options: a misspelt one must not silently become the default.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the key, or if the options are not an object
 */
export function rejectUnknownOptions(where: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new SeclogError("SECLOG_CONFIG", `${where} needs an object of options, such as { ${known[0]}: … }`);
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw configError(where, key, `does not exist; the options are ${known.join(", ")}`);
  }
}

/**
 * An option that is a whole number within limits, or its default.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the key and the value
 */
export function wholeNumber(
  where: string,
  key: string,
  value: number | undefined,
  limits: { readonly default: number; readonly min: number; readonly max?: number },
): number {
  if (value === undefined) return limits.default;
  const max = limits.max ?? Number.MAX_SAFE_INTEGER;
  // Where `Infinity` is the default ("keep all"), it may also be passed.
  const whole = Number.isInteger(value) || (value === Number.POSITIVE_INFINITY && limits.default === value);
  if (whole && value >= limits.min && (value <= max || value === limits.default)) return value;
  throw configError(where, key, `must be a whole number from ${limits.min} to ${max}, not ${String(value)}`);
}

/** The error for one option: `fileHandler: maxBytes must be …`. */
export function configError(where: string, key: string, problem: string): SeclogError {
  return new SeclogError("SECLOG_CONFIG", `${where}: ${key} ${problem}`);
}
