import type { SeclogError } from "../event/errors.ts";
import { configError } from "../event/options.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";

/**
 * Checks that a log's handlers are handlers with distinct names.
 *
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function checkedHandlers(handlers: unknown): readonly SecurityEventHandler[] {
  const refused = (problem: string): SeclogError => configError("createSecurityLog", "handlers", problem);
  if (!Array.isArray(handlers) || handlers.length === 0) {
    throw refused("must be a list of at least one, such as postgresHandler() of seclog/postgres");
  }
  const names = new Set<string>();
  for (const handler of handlers as readonly (Partial<SecurityEventHandler> | null | undefined)[]) {
    const name = handler?.name;
    if (typeof name !== "string" || !/^[a-z0-9_-]{1,40}$/.test(name))
      throw refused(`has one whose name ${JSON.stringify(name)} is not 1 to 40 characters of a-z, 0-9, _ -`);
    if (typeof handler?.handle !== "function" || typeof handler.close !== "function")
      throw refused(`has ${name}, which lacks handle() or close()`);
    if (names.has(name)) throw refused(`has two that are named ${name}: give one another name`);
    names.add(name);
  }
  return handlers as readonly SecurityEventHandler[];
}
