import { visibleJson } from "seclog";

/** The reader closed the output (`| head`): the command exits with 0. */
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
      else if (isGone(error)) failed(new OutputClosed());
      else failed(new OutputFailed(`standard output cannot be written: ${error.message}`));
    });
  });
}

/** Whether standard output failed because its reader closed it, now or earlier. */
export function isGone(error: NodeJS.ErrnoException): boolean {
  return ["EPIPE", "ERR_STREAM_DESTROYED", "ERR_STREAM_WRITE_AFTER_END"].includes(error.code ?? "");
}

/** A value as one line of JSON, without characters that control a terminal. */
export function jsonLine(value: unknown): string {
  return `${visibleJson(JSON.stringify(value))}\n`;
}

/** Prints a line for people to standard error. */
export function notice(text: string): void {
  process.stderr.write(`${text}\n`);
}
