import type { Command } from "commander";
import { KEY_VARIABLE } from "../../keys/signing-key.ts";

/** Adds the options that locate the log's private key, as `signingKey` reads them. */
export function addKeyOptions(command: Command): Command {
  return command
    .option(
      "--key <file>",
      `the log's private key (default: ${KEY_VARIABLE}, or the file that ${KEY_VARIABLE}_FILE names)`,
    )
    .option("--key-command <command>", "a shell command that prints the key, for a key management service");
}
