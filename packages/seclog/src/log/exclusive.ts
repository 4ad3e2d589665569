import { configError } from "../event/options.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";

/**
 * Reserves the resources that a log's handlers cannot share, such as a file's path. Call the returned function to
 * release them.
 *
 * @throws SeclogError `SECLOG_CONFIG` when two handlers name the same one: the second would wait for the first forever
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
      const message = `${JSON.stringify(exclusive)} of the handler ${name} is in use by ${holder}; name another, or close that log first`;
      throw configError("createSecurityLog", "handlers", message);
    }
    taken.set(exclusive, `the handler ${name} of the log ${log}`);
    mine.push(exclusive);
  }
  return release;
}

/** Each reserved resource and its holder, shared by all copies of the package in this process. */
function shared(): Map<string, string> {
  const key = Symbol.for("seclog.exclusive.1");
  const place = globalThis as { [key]?: Map<string, string> };
  place[key] ??= new Map();
  return place[key];
}
