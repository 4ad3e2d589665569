import { VerifyError, verifyProof } from "@seclog/verify";
import { proofDocument, proofText, readKeys, readText, readWitnesses } from "@seclog/verify/program";
import type { Command } from "commander";
import { SeclogError } from "seclog";
import { jsonLine, print } from "../../terminal/print.ts";
import { collect } from "../options/collect.ts";
import { asConfig, page } from "../options/verifier.ts";

interface VerifyProofOptions {
  readonly vkey: readonly string[];
  readonly witness?: readonly string[];
  readonly json?: true;
}

/** `seclog verify-proof`. */
export function addVerifyProof(command: Command): void {
  command
    .requiredOption("--vkey <key>", "the log's public key; repeat for each further key", collect)
    .option("--witness <key>", "the key of a witness that must have signed the checkpoint; repeatable", collect)
    .option("--json", "one JSON document")
    .addHelpText(
      "after",
      "\nExits with 0 if the proof holds, 1 if it does not, 2 if a key or the file\ncannot be read, 3 if the answer cannot be printed.",
    )
    .action(async (file: string, options: VerifyProofOptions) => {
      const keys = asConfig(() => readKeys(options.vkey));
      const witnesses = asConfig(() => readWitnesses(options.witness ?? []));
      const text = asConfig(() => readText(file));
      try {
        const proven = asConfig(() => verifyProof(text, keys, witnesses));
        await print(options.json ? jsonLine(proofDocument(proven)) : proofText(proven, page));
      } catch (error) {
        if (!(error instanceof VerifyError)) throw error;
        throw new SeclogError("SECLOG_PROOF", `${file} proves nothing: ${error.message}`);
      }
    });
}
