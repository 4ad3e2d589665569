import type { Command } from "commander";
import { errorMessage } from "seclog";
import { commandLine } from "../../config/program.ts";
import { serveWitness } from "../../integrity/witness/serve.ts";
import { readKeyFile } from "../../keys/key-file.ts";
import { publicKey } from "../../keys/vkeys.ts";
import { interruption, untilInterrupted } from "../../terminal/interruption.ts";
import { occasionalNotice } from "../../terminal/occasional-notice.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { addConnectionOptions, type ConnectionOptions, connectionLimits, parseListen } from "../options/listen.ts";

interface WitnessCommandOptions extends ConnectionOptions {
  readonly key: string;
  readonly log: readonly string[];
  readonly state: string;
  readonly listen: string;
  readonly json?: true;
}

/** `seclog witness`. */
export function addWitness(command: Command): void {
  command
    .requiredOption("--key <file>", `the witness's private key: ${commandLine("keys generate --witness")}`)
    .requiredOption("--log <vkey...>", "the public key of a log to watch; takes several, repeatable")
    .requiredOption("--state <directory>", "where to remember what was cosigned: never lose, copy or restore it")
    .option("--listen <host:port>", "the address to listen on", "127.0.0.1:7380");
  addConnectionOptions(command).option("--json", "one JSON document").action(witness);
}

async function witness(options: WitnessCommandOptions): Promise<void> {
  const listen = parseListen(options.listen);
  const connections = connectionLimits(options);
  const signer = readKeyFile(options.key);
  const logs = options.log.map((vkey) => publicKey("--log", vkey, "ed25519"));
  const signal = interruption();
  const say = occasionalNotice();
  const service = await serveWitness({
    signer,
    logs,
    directory: options.state,
    listen,
    connections,
    onInconsistent: (why, evidence) => say(why, `: ${JSON.stringify(evidence)}`),
    onError: (error) => say(`a request failed: ${errorMessage(error)}`),
  });
  try {
    await print(
      options.json ? jsonLine({ vkey: signer.vkey, listening: service.url }) : `${signer.vkey} ${service.url}\n`,
    );
    await untilInterrupted(signal);
  } finally {
    await service.close();
  }
}
