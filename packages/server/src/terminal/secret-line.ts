/** Reads a password: typed without an echo on a terminal, or the first line of standard input. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { notice } from "./print.ts";

const MOST_BYTES = 4_096;

/** @param prompt what is asked for, on a terminal */
export async function secretLine(prompt: string, input: NodeJS.ReadStream = process.stdin): Promise<string> {
  if (input.isTTY) return await typedLine(prompt, input);
  let text = "";
  for await (const chunk of input) {
    text += String(chunk);
    if (text.includes("\n") || text.length > MOST_BYTES) break;
  }
  return text.split(/\r?\n/, 1)[0] ?? "";
}

async function typedLine(prompt: string, input: NodeJS.ReadStream): Promise<string> {
  notice(`${prompt}:`);
  // What readline would show goes nowhere.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once("line", resolve);
      lines.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
      lines.once("close", () => reject(new Error("no password was typed")));
    });
  } finally {
    lines.close();
  }
}
