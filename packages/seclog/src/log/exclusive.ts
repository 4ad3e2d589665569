import { configError } from "../event/options.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";

/**
 * Takes what the handlers of a log must have to themselves, until the returned function is called.
 *
 * @throws SeclogError `SECLOG_CONFIG` when two handlers want the same: the second would wait for the first without end
 */
export function takeExclusive(handlers: readonly SecurityEventHandler[], log: string): () => void {
  const taken = shared();
  const mine: string[] = [];
  const release = (): void => {
    for (const each of mine) taken.delete(each);
  };
  for (const { name, exclusive } of handlers) {
    if (exclusive === undefined) continue;
    const holder = taken.get(exclusive);
    if (holder !== undefined) {
      release();
      const message = `${JSON.stringify(exclusive)} of the handler ${name} is taken by ${holder}; name another one, or close that log first`;
      throw configError("createSecurityLog", "handlers", message);
    }
    taken.set(exclusive, `the handler ${name} of the log ${log}`);
    mine.push(exclusive);
  }
  return release;
}

/** What handlers of open logs have to themselves, and the log that has it. Of all copies of the package in this process. */
function shared(): Map<string, string> {
  const key = Symbol.for("seclog.exclusive.1");
  const place = globalThis as { [key]?: Map<string, string> };
  place[key] ??= new Map();
  return place[key];
}
