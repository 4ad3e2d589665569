/** What `seclog verify` and `verify-proof` pass to the verifier: the program's terminal and its way to refuse an option. */
import { InputError } from "@seclog/verify";
import type { Page } from "@seclog/verify/program";
import { SeclogError, visibleText } from "seclog";
import { wrapped } from "../../terminal/line-width.ts";
import { styled } from "../../terminal/style.ts";

export const page: Page = { styled: (text, style) => styled(text, style), wrapped, visible: visibleText };

/** Runs a reader of option values. @throws SeclogError `SECLOG_CONFIG` for an unusable key, file or folder */
export function asConfig<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new SeclogError("SECLOG_CONFIG", error.message, { cause: error });
  }
}
