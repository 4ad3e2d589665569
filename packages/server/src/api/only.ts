import type { Right } from "@seclog/api";
import type { Context as HonoContext } from "hono";
import { rightsOf } from "./access.ts";
import type { Environment } from "./environment.ts";
import { failed } from "./failures.ts";

/** Refuses those who may not. */
export function only(right: Right) {
  return async (c: HonoContext<Environment>, next: () => Promise<void>): Promise<Response | undefined> => {
    const visitor = c.get("visitor");
    if (visitor === undefined || !rightsOf(visitor.role).includes(right)) {
      return failed(403, "ROLE", `the role ${visitor?.role ?? "of a stranger"} may not do this: an admin may`);
    }
    await next();
    return undefined;
  };
}
