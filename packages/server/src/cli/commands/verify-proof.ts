import { type ProvenEvent, readVkey, VerifyError, type Vkey, verifyProof } from "@seclog/verify";
import type { Command } from "commander";
import { errorMessage, SeclogError, visibleText } from "seclog";
import { wrapped } from "../../terminal/line-width.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { styled } from "../../terminal/style.ts";
import { collect } from "../options/collect.ts";
import { readKeys, readText } from "../options/vkeys.ts";

interface VerifyProofOptions {
  readonly vkey: readonly string[];
  readonly witness?: readonly string[];
  readonly json?: true;
}

/** `seclog verify-proof`. */
export function addVerifyProof(program: Command): void {
  program
    .command("verify-proof <file>")
    .description("check a proof that seclog prove has made, without the database")
    .requiredOption("--vkey <key>", "the log's public key; again for each other one", collect)
    .option("--witness <key>", "a witness's key: it must have signed the checkpoint; repeatable", collect)
    .option("--json", "one JSON document")
    .addHelpText(
      "after",
      "\nEnds with 0 when the proof holds, with 1 when it does not, with 2 when a\nkey or the file cannot be read.",
    )
    .action(async (file: string, options: VerifyProofOptions) => {
      const keys = readKeys(options.vkey);
      const witnesses = (options.witness ?? []).map(readWitness);
      const text = readText(file);
      let proven: ProvenEvent;
      try {
        proven = verifyProof(text, keys, witnesses);
        const silent = witnesses.filter((key) => !proven.checkpoint.signers.includes(key));
        if (silent.length > 0) {
          throw new VerifyError(
            `the witness ${silent.map(({ name }) => name).join(", ")} has not signed the checkpoint`,
          );
        }
      } catch (error) {
        if (!(error instanceof VerifyError)) throw error;
        throw new SeclogError("SECLOG_PROOF", `${file} proves nothing: ${errorMessage(error)}`);
      }
      await print(options.json ? jsonLine(document(proven)) : proofText(proven));
    });
}

function readWitness(text: string): Vkey {
  let key: Vkey;
  try {
    key = readVkey(text.trim());
  } catch (error) {
    throw new SeclogError("SECLOG_CONFIG", `--witness: ${errorMessage(error)}`);
  }
  if (key.kind === "witness") return key;
  throw new SeclogError("SECLOG_CONFIG", `--witness ${key.text} is a log's key, and no witness's`);
}

function document({ checkpoint, index, core, personal }: ProvenEvent): unknown {
  const { origin, size, root, signers } = checkpoint;
  return {
    holds: true,
    origin,
    index,
    size,
    root: Buffer.from(root, "latin1").toString("base64"),
    signed_by: signers.map(({ text }) => text),
    redacted: personal === undefined,
    event: { ...core, ...personal },
  };
}

function proofText({ checkpoint, index, core, personal }: ProvenEvent): string {
  const { origin, size, signers } = checkpoint;
  const witnesses = signers.filter(({ kind }) => kind === "witness").map(({ name }) => name);
  const seen =
    witnesses.length === 0
      ? ""
      : `, as ${witnesses.join(" and ")} ${witnesses.length === 1 ? "has" : "have"} witnessed`;
  const lines = [
    styled("The proof holds.", "green"),
    wrapped(
      `This event is leaf ${index} of ${origin}, whose key has signed the tree of ${size.toLocaleString("en")} leaves${seen}.`,
      "",
    ),
  ];
  if (personal === undefined) {
    lines.push(
      wrapped(
        "The personal part (who, address, path, data …) is left out of this proof: it says nothing about it.",
        "",
      ),
    );
  }
  lines.push("");
  const width = Math.max(...Object.keys({ ...core, ...personal }).map((name) => name.length));
  for (const [name, value] of Object.entries({ ...core, ...personal })) {
    const shown = typeof value === "string" ? value : JSON.stringify(value);
    lines.push(`${name.padEnd(width)}  ${visibleText(shown)}`);
  }
  return `${lines.join("\n")}\n`;
}
