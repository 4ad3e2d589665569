/** Colours, only where a terminal shows them. */
import type { Level } from "seclog";

/** SGR parameters (ECMA-48). */
const STYLES = { bold: "1", dim: "2", red: "31", green: "32", yellow: "33", alarm: "1;31", plain: "" } as const;

/** How to highlight a text. */
export type Style = keyof typeof STYLES;

export const LEVEL_STYLES: { readonly [L in Level]: Style } = {
  debug: "dim",
  info: "plain",
  warning: "yellow",
  error: "red",
  critical: "alarm",
};

/** Styles text on a terminal. `NO_COLOR` (no-color.org) turns it off, `FORCE_COLOR` on. */
export function styled(text: string, style: Style, stream: NodeJS.WriteStream = process.stdout): string {
  const { NO_COLOR, FORCE_COLOR } = process.env;
  const wanted = FORCE_COLOR ? FORCE_COLOR !== "0" : stream.isTTY === true && process.env["TERM"] !== "dumb";
  return wanted && !NO_COLOR && STYLES[style] !== "" ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
}
