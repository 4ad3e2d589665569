import type { Command } from "commander";
import { SeclogError } from "seclog";
import { NoteError, openNote, parseNote } from "seclog/merkle";
import { requireUrl } from "../../config/environment.ts";
import { commandLine } from "../../config/program.ts";
import { databaseError } from "../../database/failure.ts";
import { type Queries, SessionPool } from "../../database/session.ts";
import { signatureLine } from "../../integrity/seal/tree-store.ts";
import { storedCheckpoint } from "../../integrity/stored-tree.ts";
import { writeKeyFile } from "../../keys/key-file.ts";
import { type KeyOptions, signingKey } from "../../keys/signing-key.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { addKeyOptions } from "../options/key.ts";

/** `seclog keys`. */
export function addKeys(program: Command): void {
  const keys = program.command("keys").description("make, show and rotate the keys that sign checkpoints");
  keys
    .command("generate")
    .description("draw a key, and print its public half for auditors")
    .requiredOption("--out <file>", "the file to write the private key to; only you can read it")
    .requiredOption("--name <origin>", "the log's name: a URL without its scheme, such as example.com/shop-log")
    .option("--witness", "a key for seclog witness, whose signatures carry the time")
    .option("--json", "one JSON document")
    .action(generate);
  addKeyOptions(
    keys.command("show [file]").description("print the public half of a key, from a file or as the others take it"),
  )
    .option("--json", "one JSON document")
    .action(show);
  addKeyOptions(
    keys
      .command("rotate")
      .description("let a new key seal from here on: the newest checkpoint is signed by both")
      .requiredOption("--out <file>", "the file to write the new private key to"),
  )
    .option("--json", "one JSON document")
    .action(rotate);
}

async function generate(options: { out: string; name: string; witness?: true; json?: true }): Promise<void> {
  const { vkey } = writeKeyFile(options.out, options.name, options.witness ? "cosignature" : "ed25519");
  if (options.json) return await print(jsonLine({ vkey, file: options.out }));
  await print(
    `${vkey}\n\nThe private key is in ${options.out}: back it up where the database's administrators cannot read it.\nThe line above is its public half. Give it to whoever shall verify the log.\n`,
  );
}

async function show(file: string | undefined, options: KeyOptions & { json?: true }): Promise<void> {
  if (file !== undefined && (options.key !== undefined || options.keyCommand !== undefined)) {
    throw new SeclogError("SECLOG_CONFIG", `the key is named twice, by ${file} and by an option: which one is meant?`);
  }
  const { vkey, name } = await signingKey(file === undefined ? options : { key: file });
  await print(options.json ? jsonLine({ vkey, name }) : `${vkey}\n`);
}

async function rotate(options: KeyOptions & { out: string; json?: true }): Promise<void> {
  const url = requireUrl("sealer");
  const old = await signingKey(options);
  const pool = new SessionPool({ role: "sealer", url, purpose: "seclog keys rotate", access: "READ WRITE" }, 1);
  try {
    await checkSeals(pool, old);
    const next = writeKeyFile(options.out, old.name);
    const size = await signBoth(pool, old, next);
    if (options.json) return await print(jsonLine({ vkey: next.vkey, retired: old.vkey, size, file: options.out }));
    await print(
      `${next.vkey}\n\nThis key seals ${old.name} from ${size.toLocaleString("en")} leaves on; that checkpoint is signed by both keys.\nStart the sealer with --key ${options.out}. Auditors give both public keys, the retired one first:\n  ${old.vkey}\n`,
    );
  } catch (error) {
    throw databaseError(error, "sealer");
  } finally {
    await pool.end();
  }
}

type Signer = Awaited<ReturnType<typeof signingKey>>;

async function checkSeals(database: Queries, signer: Signer): Promise<void> {
  const newest = await storedCheckpoint(database);
  if (newest === undefined) {
    throw new SeclogError("SECLOG_KEY", "nothing was sealed yet, so there is no key to retire: start with the new one");
  }
  try {
    openNote(newest.note, [signer]);
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    throw new SeclogError("SECLOG_KEY", `the newest checkpoint is not signed by ${signer.vkey}: ${cause.message}`, {
      cause,
    });
  }
  if (parseNote(newest.note).signatures.length > 0 && newest.origin !== signer.name) {
    throw new SeclogError("SECLOG_KEY", `this is the log ${newest.origin}, and the key is that of ${signer.name}`);
  }
}

/** A running sealer may be faster: then the next checkpoint is taken. */
const TRIES = 20;

async function signBoth(database: Queries, old: Signer, next: Signer): Promise<number> {
  for (let tries = 1; ; tries++) {
    const newest = await storedCheckpoint(database);
    if (newest === undefined)
      throw new SeclogError("SECLOG_TREE", `the newest checkpoint is gone: run ${commandLine("verify")}`);
    const { text } = openNote(newest.note, [old]);
    try {
      await database.query("SELECT public.seclog_rotate_key($1, $2, $3, $4, $5, $6)", [
        newest.size,
        newest.root,
        next.name,
        next.keyId,
        next.vkey,
        signatureLine(next.sign(text)),
      ]);
      return newest.size;
    } catch (error) {
      if ((error as { code?: string }).code !== "SL010" || tries === TRIES) throw error;
    }
  }
}
