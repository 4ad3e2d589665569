/** Runs a verification beside the process's other work. */
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { VerifyReport } from "@seclog/verify";
import { SeclogError } from "seclog";
import type { VerificationMessage, VerificationWork } from "./verification-thread.ts";

/** Options of {@link verifyInThread}. */
export interface VerifyInThreadOptions extends VerificationWork {
  /** Called for each window of leaves. */
  readonly progress: (done: number, total: number) => void;
  /** Ends the thread, and its connection with it. */
  readonly signal: AbortSignal;
}

/** The sources have no thread that Node could run: tests of them start the built one. */
const FILE: string = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "../../dist/integrity/verification-thread.js" : "./verification-thread.js",
    import.meta.url,
  ),
);

/**
 * Verifies the log of a database in a thread.
 *
 * @throws SeclogError `SECLOG_DATABASE` with the thread's reason if there is no answer
 */
export async function verifyInThread(options: VerifyInThreadOptions): Promise<VerifyReport> {
  const { url, vkeys, progress, signal } = options;
  signal.throwIfAborted();
  const worker = new Worker(FILE, { name: "seclog verify", workerData: { url, vkeys } satisfies VerificationWork });
  const end = (): void => void worker.terminate();
  signal.addEventListener("abort", end, { once: true });
  try {
    return await new Promise((done, failed) => {
      const fail = (why: string, cause?: unknown): void => failed(new SeclogError("SECLOG_DATABASE", why, { cause }));
      worker.on("message", (message: VerificationMessage) => {
        if (message.kind === "progress") progress(message.done, message.total);
        else if (message.kind === "report") done(message.report);
        else fail(message.message);
      });
      worker.once("error", (error) => fail(`the thread failed: ${error.message}`, error));
      worker.once("exit", () => fail("the thread ended before its answer"));
    });
  } finally {
    signal.removeEventListener("abort", end);
    await worker.terminate();
  }
}
