/** Where the log's private key comes from: a file, a command or the environment. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { errorMessage, SeclogError } from "seclog";
import type { NoteSigner } from "seclog/merkle";
import { optionalSecretUrl } from "seclog/postgres/schema";
import { commandLine } from "../config/program.ts";
import { InputError } from "../text/input-error.ts";
import { parseKey, readKeyFile } from "./key-file.ts";

/** Where the log's private key is. */
export interface KeyOptions {
  readonly key?: string;
  readonly keyCommand?: string;
}

/** The variable that holds the key; with `_FILE` appended, the name of a file that holds it. */
export const KEY_VARIABLE = "SECLOG_SEAL_KEY";
const COMMAND_TIMEOUT_MS = 30_000;

/**
 * The log's signer, from a file, a command's output or the environment.
 *
 * @throws SeclogError `SECLOG_KEY`, `SECLOG_CONFIG`; never repeats the key
 */
export async function signingKey({ key, keyCommand }: KeyOptions): Promise<NoteSigner> {
  if (key !== undefined && keyCommand !== undefined) {
    throw new InputError((named) => `${named("key")} and ${named("keyCommand")} are both set: use one of them`);
  }
  if (key !== undefined) return readKeyFile(key);
  if (keyCommand !== undefined) {
    try {
      const { stdout } = await promisify(execFile)("/bin/sh", ["-c", keyCommand], { timeout: COMMAND_TIMEOUT_MS });
      return parseKey(stdout, "the output of the key command");
    } catch (error) {
      if (error instanceof SeclogError) throw error;
      const { code, killed } = error as { code?: number | string; killed?: boolean };
      const why = killed
        ? `printed no key within ${COMMAND_TIMEOUT_MS / 1000} s`
        : `exited with ${code ?? errorMessage(error)}`;
      throw new SeclogError("SECLOG_KEY", `the key command ${why}: try it in a shell`);
    }
  }
  const text = optionalSecretUrl("environment", {}, KEY_VARIABLE);
  if (text !== undefined) return parseKey(text, KEY_VARIABLE);
  throw new InputError(
    (named) =>
      `no key: pass ${named("key")} FILE or ${named("keyCommand")}, or set ${KEY_VARIABLE}; make a key with ${commandLine("keys generate")}`,
  );
}
