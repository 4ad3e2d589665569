import { clearTimeout, setTimeout } from "../runtime/timers.ts";

/** Resolves to whether the promise resolved before the deadline (milliseconds). Rejects if the promise does. */
export async function beforeDeadline(deadline: number, promise: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, deadline, false);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
