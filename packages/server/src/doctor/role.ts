import { errorMessage } from "seclog";
import type { Role } from "../config/environment.ts";
import { databaseError, isCode } from "../database/failure.ts";
import type { Session } from "../database/session.ts";
import { checkAddresses } from "./addresses.ts";
import { checkAdmin } from "./admin.ts";
import { checkConnections, type PoolLimits } from "./connections.ts";
import { checkContents } from "./contents.ts";
import { checkDurability } from "./durability.ts";
import { checkEmptyNumbers } from "./empty-numbers.ts";
import { type Check, Findings } from "./findings.ts";
import { checkForeign } from "./foreign.ts";
import { checkLocks } from "./locks.ts";
import { checkLogins } from "./logins.ts";
import { openSession } from "./open-session.ts";
import { checkOwnership } from "./ownership.ts";
import { checkPartitions } from "./partitions.ts";
import { checkPrivileges } from "./privileges.ts";
import { checkSchema } from "./schema.ts";
import { checkSealing } from "./sealing.ts";
import { checkServer } from "./server.ts";
import { checkSettings } from "./settings.ts";
import { checkTriggers } from "./triggers.ts";

const PERMISSION_DENIED = "42501";

/** Connects as a role and checks everything that it may see. */
export async function checkRole(role: Role, url: string, limits: PoolLimits): Promise<readonly Check[]> {
  const findings = new Findings(role);
  let session: Session;
  try {
    session = await openSession(role, url);
  } catch (error) {
    findings.fault("cannot connect", errorMessage(databaseError(error, role)));
    return findings.checks;
  }
  try {
    await session.begin();
    const { client } = session;
    await checkServer(client, role, url, findings);
    if (session.pooled) findings.ok("the connection comes through a pooler, such as PgBouncer");
    if (role === "admin") await checkAdmin(client, findings);
    else if (await checkSchema(client, findings)) {
      await checkPrivileges(client, role, findings);
      await checkOwnership(client, findings);
      if (role === "writer") {
        await checkDurability(client, findings);
        await checkConnections(client, limits, findings);
        await checkTriggers(client, findings);
      } else if (role === "reader") {
        await checkForeign(client, findings);
        await checkLocks(client, findings);
        await checkSettings(client, findings);
        await checkPartitions(client, findings);
        await checkContents(client, findings);
        await checkAddresses(client, findings);
        await checkLogins(client, findings);
        await checkSealing(client, findings);
        await checkEmptyNumbers(client, findings);
      }
    }
  } catch (error) {
    // checkPrivileges has reported the missing privilege.
    if (isCode(error, PERMISSION_DENIED)) findings.skipped("no further checks");
    else findings.fault(`a check failed: ${errorMessage(error)}`, "see the server's log");
  } finally {
    await session.end();
  }
  return findings.checks;
}
