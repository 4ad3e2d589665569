import type { Command } from "commander";
import { errorMessage, SeclogError } from "seclog";
import { commandLine } from "../../config/program.ts";
import { lockFolder } from "../../files/folder-lock.ts";
import { makeFolder } from "../../files/make-folder.ts";
import { startHttpService } from "../../http/service.ts";
import { WitnessState } from "../../integrity/witness/state.ts";
import { MOST_REQUEST_BYTES, Witness } from "../../integrity/witness/witness.ts";
import { readKeyFile } from "../../keys/key-file.ts";
import { keyKind, publicKey } from "../../keys/vkeys.ts";
import { interruption, untilInterrupted } from "../../terminal/interruption.ts";
import { occasionalNotice } from "../../terminal/occasional-notice.ts";
import { print } from "../../terminal/print.ts";
import { addConnectionOptions, type ConnectionOptions, connectionLimits, parseListen } from "../options/listen.ts";

interface WitnessCommandOptions extends ConnectionOptions {
  readonly key: string;
  readonly log: readonly string[];
  readonly state: string;
  readonly listen: string;
}

/** `seclog witness`. */
export function addWitness(command: Command): void {
  command
    .requiredOption("--key <file>", `the witness's private key: ${commandLine("keys generate --witness")}`)
    .requiredOption("--log <vkey...>", "the public key of a log to watch; takes several, repeatable")
    .requiredOption("--state <directory>", "where to remember what was cosigned: never lose, copy or restore it")
    .option("--listen <host:port>", "the address to listen on", "127.0.0.1:7380");
  addConnectionOptions(command).action(witness);
}

async function witness(options: WitnessCommandOptions): Promise<void> {
  const listen = parseListen(options.listen);
  const connections = connectionLimits(options);
  const signer = readKeyFile(options.key);
  if (keyKind(signer.vkey) !== "cosignature") {
    throw new SeclogError(
      "SECLOG_KEY",
      `${options.key} holds a log's key: make a witness key with ${commandLine("keys generate --witness")}`,
    );
  }
  const logs = options.log.map((vkey) => publicKey("--log", vkey, "ed25519"));
  const own = logs.find(({ name }) => name === signer.name);
  if (own !== undefined) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `--log ${own.vkey} has the witness's own name: give the witness's key another name`,
    );
  }
  const signal = interruption();
  let lock: Awaited<ReturnType<typeof lockFolder>>;
  try {
    makeFolder(options.state);
    lock = await lockFolder(
      options.state,
      (pid) => new SeclogError("SECLOG_CONFIG", `--state ${options.state} is in use by process ${pid}: stop it first`),
    );
  } catch (cause) {
    if (cause instanceof SeclogError) throw cause;
    throw new SeclogError("SECLOG_CONFIG", `--state ${options.state} cannot be used: ${errorMessage(cause)}`, {
      cause,
    });
  }
  try {
    const say = occasionalNotice();
    const subject = new Witness({
      signer,
      logs,
      state: new WitnessState(options.state),
      onInconsistent: (why, evidence) => say(why, `: ${JSON.stringify(evidence)}`),
    });
    const service = await startHttpService({
      listen,
      connections,
      mostBytes: MOST_REQUEST_BYTES,
      respond: (request) => subject.respond(request),
      onError: (error) => say(`a request failed: ${errorMessage(error)}`),
    });
    try {
      await print(`${signer.vkey} ${service.url}\n`);
      await untilInterrupted(signal);
    } finally {
      await service.close();
    }
  } finally {
    lock.release();
  }
}
