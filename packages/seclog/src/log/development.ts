/** What a log without handlers does while an application is being developed. */
import { stdoutHandler } from "../handlers/stdout.ts";
import type { DevelopmentLogOptions } from "./options.ts";

const NOTICE = `\
seclog: this log has no handlers, so its events are printed here and kept
        nowhere. To keep them: npx @seclog/server setup, then a spool and
        handlers: [postgresHandler()]. In production they are required.
`;

let noticed = false;

/**
 * The options of a log that was opened without handlers: it prints its events and waits for nothing, and says so once.
 * In production the options stay as they are, and are refused: a log that keeps nothing must not look like one.
 */
export function inDevelopment(options: object): object {
  if (process.env["NODE_ENV"] === "production") return options;
  // What is not an object of options is refused by name.
  if (typeof options !== "object" || options === null || Array.isArray(options)) return options;
  const { handlers, spool = "memory" } = options as DevelopmentLogOptions;
  if (handlers !== undefined) return options;
  if (!noticed) process.stderr.write(NOTICE);
  noticed = true;
  return { ...options, spool, handlers: [stdoutHandler()] };
}
