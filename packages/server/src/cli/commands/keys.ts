import type { Command } from "commander";
import { SeclogError } from "seclog";
import { requireUrl } from "../../config/environment.ts";
import { rotateKey } from "../../integrity/rotate-key.ts";
import { makeKeyFile } from "../../keys/key-file.ts";
import { type KeyOptions, signingKey } from "../../keys/signing-key.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { addKeyOptions } from "../options/key.ts";

/** `seclog keys`. */
export function addKeys(keys: Command): void {
  keys
    .command("generate")
    .description("generate a key, and print its public half for auditors")
    .requiredOption("--out <file>", "the file to write the private key to; only you can read it")
    .requiredOption("--name <origin>", "the log's name: a URL without its scheme, such as example.com/shop-log")
    .option("--witness", "a key for seclog witness, whose signatures carry the time")
    .option("--json", "one JSON document")
    .action(generate);
  addKeyOptions(
    keys.command("show [file]").description("print the public half of a key, from a file or the options below"),
  )
    .option("--json", "one JSON document")
    .action(show);
  addKeyOptions(
    keys
      .command("rotate")
      .description("seal with a new key from here on: both keys sign the newest checkpoint")
      .requiredOption("--out <file>", "the file to write the new private key to"),
  )
    .option("--json", "one JSON document")
    .action(rotate);
}

async function generate(options: { out: string; name: string; witness?: true; json?: true }): Promise<void> {
  const { vkey } = makeKeyFile(options.out, options.name, options.witness ? "cosignature" : "ed25519");
  if (options.json) return await print(jsonLine({ vkey, file: options.out }));
  await print(
    `${vkey}\n\nThe private key is in ${options.out}: back it up where the database's administrators cannot read it.\nThe line above is its public half: give it to everyone who will verify the log.\n`,
  );
}

async function show(file: string | undefined, options: KeyOptions & { json?: true }): Promise<void> {
  if (file !== undefined && (options.key !== undefined || options.keyCommand !== undefined)) {
    throw new SeclogError("SECLOG_CONFIG", `the key is named twice, by ${file} and by an option: name it once`);
  }
  const { vkey, name } = await signingKey(file === undefined ? options : { key: file });
  await print(options.json ? jsonLine({ vkey, name }) : `${vkey}\n`);
}

async function rotate(options: KeyOptions & { out: string; json?: true }): Promise<void> {
  const url = requireUrl("sealer");
  const old = await signingKey(options);
  const { vkey, size } = await rotateKey({ url, retiring: old, file: options.out });
  if (options.json) return await print(jsonLine({ vkey, retired: old.vkey, size, file: options.out }));
  await print(
    `${vkey}\n\nThis key seals ${old.name} from ${size.toLocaleString("en")} leaves on; both keys signed that checkpoint.\nStart the sealer with --key ${options.out}. Auditors pass both public keys, the retired one first:\n  ${old.vkey}\n`,
  );
}
