/**
 * Verifies a log in a thread of its own. `verify-in-thread.ts` starts it: hashing would hold up everything else in the
 * process for a tenth of a second at a time, the requests of an application that mounts the console included.
 */
import { parentPort, workerData } from "node:worker_threads";
import { readVkey, type VerifyReport } from "@seclog/verify";
import { errorMessage } from "seclog";
import { verifyStoredLog } from "./verify-stored-log.ts";

/** What the thread is started with. */
export interface VerificationWork {
  /** The reader's connection URL. */
  readonly url: string;
  /** The log's public keys, oldest first. */
  readonly vkeys: readonly string[];
}

/** What the thread says, the last two once. */
export type VerificationMessage =
  | { readonly kind: "progress"; readonly done: number; readonly total: number }
  | { readonly kind: "report"; readonly report: VerifyReport }
  | { readonly kind: "failure"; readonly message: string };

function say(message: VerificationMessage): void {
  parentPort?.postMessage(message);
}

const { url, vkeys } = workerData as VerificationWork;
try {
  const report = await verifyStoredLog({
    source: { url },
    keys: vkeys.map(readVkey),
    progress: (done, total) => say({ kind: "progress", done, total }),
  });
  say({ kind: "report", report });
} catch (error) {
  say({ kind: "failure", message: errorMessage(error) });
}
