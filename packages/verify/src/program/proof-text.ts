/** Formats what a proof proves, for people and as JSON. */
import type { ProvenEvent } from "../proof.ts";
import type { Page } from "./report-text.ts";

/** A sentence that says what the proof shows, and the proven event. */
export function proofText({ checkpoint, index, core, personal }: ProvenEvent, page: Page): string {
  const { origin, size, signers } = checkpoint;
  const witnesses = signers.filter(({ kind }) => kind === "witness").map(({ name }) => name);
  const cosigned = witnesses.length === 0 ? "" : `, cosigned by ${witnesses.join(" and ")}`;
  const lines = [
    page.styled("The proof holds.", "green"),
    page.wrapped(
      `This event is leaf ${index} of ${origin}, whose key has signed the tree of ${size.toLocaleString("en")} leaves${cosigned}.`,
      "",
    ),
  ];
  if (personal === undefined) {
    const absent = "The proof leaves out the personal part (who, address, path, data …) and says nothing about it.";
    lines.push(page.wrapped(absent, ""));
  }
  lines.push("");
  const columns = Object.entries({ ...core, ...personal });
  const width = Math.max(...columns.map(([name]) => name.length));
  for (const [name, value] of columns) {
    lines.push(`${name.padEnd(width)}  ${page.visible(typeof value === "string" ? value : JSON.stringify(value))}`);
  }
  return `${lines.join("\n")}\n`;
}

/** The document that `--json` prints. */
export function proofDocument({ checkpoint, index, core, personal }: ProvenEvent): unknown {
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
