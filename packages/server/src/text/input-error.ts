import { type ErrorCode, SeclogError } from "seclog";

/**
 * An error about inputs of a room, by their names there: `since`, `keyCommand`. The room's caller knows how its users
 * write them, such as `--since`, and words the message with those names.
 */
export class InputError extends SeclogError {
  /** The message, with each input under the name that `named` returns for it. */
  readonly worded: (named: (input: string) => string) => string;

  constructor(
    worded: (named: (input: string) => string) => string,
    options: { readonly code?: ErrorCode; readonly cause?: unknown } = {},
  ) {
    super(
      options.code ?? "SECLOG_CONFIG",
      worded((input) => input),
      options,
    );
    this.worded = worded;
  }
}
