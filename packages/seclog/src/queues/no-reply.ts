import { clearTimeout, setTimeout } from "../runtime/timers.ts";

/** An engine did not answer in time. Its connection may be dead without a sign of it, so it is not used again. */
export class NoReply extends Error {}

/** The promise's outcome, or the failure when it takes longer. */
export async function withinTime<T>(work: Promise<T>, ms: number, failure: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(failure()), ms).unref();
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}
