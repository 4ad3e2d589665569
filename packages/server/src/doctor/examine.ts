/** `seclog doctor`: finds what is wrong with a log and how to fix it. Each check has its own file beside this one. */
import { type Role, URL_VARIABLES } from "../config/environment.ts";
import type { PoolLimits } from "./connections.ts";
import type { Check } from "./findings.ts";
import { checkRole } from "./role.ts";
import { checkSameDatabase } from "./same-database.ts";
import { checkSpool } from "./spool.ts";

export interface ExamineOptions {
  /** The connection URL of each role; a role without one is skipped, and the report says so. */
  readonly urls: { readonly [R in Role]?: string | undefined };
  readonly limits: PoolLimits;
  /** An application's `spool.directory` on this machine. */
  readonly spool?: string | undefined;
  /** Receives the current step, in words. */
  readonly onProgress?: (what: string) => void;
  /** Stops between two roles. */
  readonly signal?: AbortSignal;
}

/** The findings. */
export interface Examination {
  /** Whether no fault was found. */
  readonly ok: boolean;
  readonly faults: number;
  readonly warnings: number;
  readonly checks: readonly Check[];
}

const ROLES = ["admin", "writer", "reader", "sealer", "relay", "console"] as const satisfies readonly Role[];

/** Only a log behind a queue has a relay, and only a console with users of its own the other. */
const OPTIONAL: readonly Role[] = ["relay", "console"];

/** Connects as each role and checks everything that it may see. A failure becomes a finding, not an exception. */
export async function examine(options: ExamineOptions): Promise<Examination> {
  const { urls, limits, spool, onProgress, signal } = options;
  const checks: Check[] = [];
  for (const role of ROLES) {
    signal?.throwIfAborted();
    const url = urls[role];
    if (url === undefined) {
      if (!OPTIONAL.includes(role))
        checks.push({ area: role, status: "skipped", finding: `not checked: ${URL_VARIABLES[role]} is not set` });
      continue;
    }
    onProgress?.(`connecting as the ${role}`);
    checks.push(...(await checkRole(role, url, limits)));
  }
  for (const role of ["reader", "sealer", "relay", "console"] as const) {
    signal?.throwIfAborted();
    const { writer, [role]: url } = urls;
    if (writer !== undefined && url !== undefined) checks.push(...(await checkSameDatabase(writer, role, url)));
  }
  if (spool !== undefined) checks.push(...checkSpool(spool));
  const count = (status: Check["status"]): number => checks.filter((check) => check.status === status).length;
  const faults = count("fault");
  return { ok: faults === 0, faults, warnings: count("warning"), checks };
}
