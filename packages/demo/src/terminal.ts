/** The demo's terminal: colours, and how it ends. */
import type { Level } from "seclog";

/** SGR parameters (ECMA-48) of each level, and of a heading. */
const STYLES: { readonly [S in Level | "heading"]: string } = {
  debug: "2",
  info: "",
  warning: "33",
  error: "31",
  critical: "1;31",
  heading: "1",
};

/** Styles text on a terminal. `NO_COLOR` (no-color.org) turns it off, `FORCE_COLOR` on. */
export function styled(text: string, style: keyof typeof STYLES): string {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  const wanted = FORCE_COLOR ? FORCE_COLOR !== "0" : process.stdout.isTTY === true && TERM !== "dumb";
  return wanted && !NO_COLOR && STYLES[style] !== "" ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
}

/** Why the demo ends before its time, with the exit code that says so. */
export class Ended extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** 128 + the signal's number, as in shells. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Ctrl-C in npm or npx reaches us twice: from the terminal, and from them. */
const SAME_PRESS_MS = 500;

/**
 * Aborts with an {@link Ended} on SIGINT, SIGTERM or SIGHUP, or when standard output fails. A second Ctrl-C exits at once.
 *
 * @param once whether the demo ends by itself: then to end before that is a failure
 */
export function endSignal(once: boolean): AbortSignal {
  const controller = new AbortController();
  let since = 0;
  for (const [signal, exitCode] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      if (controller.signal.aborted && performance.now() - since > SAME_PRESS_MS) process.exit(exitCode);
      if (!controller.signal.aborted) since = performance.now();
      controller.abort(new Ended(`interrupted by ${signal}`, once ? exitCode : 0));
    });
  }
  process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
    const isRead = code === "EPIPE" && !once;
    controller.abort(new Ended(`standard output cannot be written: ${message}`, isRead ? 0 : 3));
  });
  return controller.signal;
}
