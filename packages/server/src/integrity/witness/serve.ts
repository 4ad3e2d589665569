/** Cosigns the checkpoints of other logs over HTTP, as the only process with the witness's state. */
import { errorMessage, SeclogError } from "seclog";
import type { NoteSigner, NoteVerifier } from "seclog/merkle";
import { commandLine } from "../../config/program.ts";
import { type FolderLock, lockFolder } from "../../files/folder-lock.ts";
import { makeFolder } from "../../files/make-folder.ts";
import { type HttpService, type HttpServiceOptions, startHttpService } from "../../http/service.ts";
import { keyKind } from "../../keys/vkeys.ts";
import { WitnessState } from "./state.ts";
import { MOST_REQUEST_BYTES, Witness, type WitnessOptions } from "./witness.ts";

export interface ServeWitnessOptions
  extends Pick<HttpServiceOptions, "listen" | "connections" | "onError">,
    Pick<WitnessOptions, "onInconsistent"> {
  /** The witness's own key. */
  readonly signer: NoteSigner;
  /** The keys of the logs to watch. */
  readonly logs: readonly NoteVerifier[];
  /** Where to remember what was cosigned. */
  readonly directory: string;
}

/**
 * Takes the folder and starts the server.
 *
 * @throws SeclogError `SECLOG_KEY` for a log's key; `SECLOG_CONFIG` if a log has the witness's name, the folder is in use
 * or cannot be used, or the address is taken
 */
export async function serveWitness(options: ServeWitnessOptions): Promise<HttpService> {
  const { signer, logs, directory, onInconsistent, ...service } = options;
  if (keyKind(signer.vkey) !== "cosignature") {
    throw new SeclogError(
      "SECLOG_KEY",
      `${signer.vkey} is a log's key: make a witness key with ${commandLine("keys generate --witness")}`,
    );
  }
  const own = logs.find(({ name }) => name === signer.name);
  if (own !== undefined) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `the log ${own.vkey} has the witness's own name: give the witness's key another name`,
    );
  }
  const lock = await takeFolder(directory);
  try {
    const witness = new Witness({ signer, logs, state: new WitnessState(directory), onInconsistent });
    const { url, close } = await startHttpService({
      ...service,
      mostBytes: MOST_REQUEST_BYTES,
      respond: (request) => witness.respond(request),
    });
    return {
      url,
      close: async (graceMs) => {
        await close(graceMs);
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function takeFolder(directory: string): Promise<FolderLock> {
  try {
    makeFolder(directory);
    return await lockFolder(
      directory,
      (pid) => new SeclogError("SECLOG_CONFIG", `the state in ${directory} is in use by process ${pid}: stop it first`),
    );
  } catch (cause) {
    if (cause instanceof SeclogError) throw cause;
    throw new SeclogError("SECLOG_CONFIG", `the state in ${directory} cannot be used: ${errorMessage(cause)}`, {
      cause,
    });
  }
}
