/** Everything that the commands print: standard output at the pace of its reader, notices to standard error. */
import { visibleJson } from "seclog";

/** The reader closed the output (`| head`), because it has read enough. */
export class OutputClosed extends Error {}

/** Standard output is not writable, for example on a full disk. */
export class OutputFailed extends Error {}

/**
 * Writes to standard output at the reader's pace.
 *
 * @throws OutputClosed if the reader closed the output; OutputFailed if writing failed
 */
export async function print(text: string): Promise<void> {
  await new Promise<void>((written, failed) => {
    process.stdout.write(text, (error) => {
      if (error === null || error === undefined) written();
      else failed(outputError(error));
    });
  });
}

/** As {@link print}, for a command that finishes its work even if the reader of its output has gone. */
export async function printIfRead(text: string): Promise<void> {
  try {
    await print(text);
  } catch (error) {
    if (!(error instanceof OutputClosed)) throw error;
  }
}

/** What a failed write to standard output means: its reader closed it, now or earlier, or it is not writable. */
export function outputError(error: NodeJS.ErrnoException): OutputClosed | OutputFailed {
  const isGone = ["EPIPE", "ERR_STREAM_DESTROYED", "ERR_STREAM_WRITE_AFTER_END"].includes(error.code ?? "");
  return isGone ? new OutputClosed() : new OutputFailed(`standard output cannot be written: ${error.message}`);
}

/** A value as one line of JSON, without characters that control a terminal. */
export function jsonLine(value: unknown): string {
  return `${visibleJson(JSON.stringify(value))}\n`;
}

/** Prints a line for people to standard error. */
export function notice(text: string): void {
  process.stderr.write(`${text}\n`);
}
