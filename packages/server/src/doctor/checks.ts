/** What `seclog doctor` looks at. Each check says in words what is so, and what to do when it should not be. */
import { errorMessage } from "seclog";
import { inspectSpool } from "seclog/spool";
import { type Role, URL_VARIABLES } from "../config/environment.ts";
import { commandLine } from "../config/program.ts";
import { databaseError } from "../database/failure.ts";
import { Session } from "../database/session.ts";
import { bytesText, counted } from "../text/words.ts";
import { checkAddresses } from "./address-check.ts";
import { type Check, Findings } from "./findings.ts";
import {
  checkContents,
  checkEmptyNumbers,
  checkLogins,
  checkPartitions,
  checkPrivileges,
  checkSchema,
  checkSealing,
  checkTriggers,
} from "./log-checks.ts";
import { checkOwnership } from "./ownership-checks.ts";
import { checkAdmin, checkConnections, checkDurability, checkServer, type PoolLimits } from "./server-checks.ts";
import { checkForeign, checkLocks, checkSettings } from "./tampering-checks.ts";

const PERMISSION_DENIED = "42501";

/** Connects as a role and looks at everything that it may see. */
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
    // That a privilege is missing has been said above.
    if ((error as { readonly code?: unknown }).code === PERMISSION_DENIED) findings.skipped("not looked at further");
    else findings.fault(`a check could not be made: ${errorMessage(error)}`, "see the server's log");
  } finally {
    await session.end();
  }
  return findings.checks;
}

function openSession(role: Role, url: string): Promise<Session> {
  return Session.open({ role, url, purpose: "seclog doctor", access: "READ ONLY" });
}

/** Whether a role sees the same database as the writer. */
export async function checkSameDatabase(
  writerUrl: string,
  role: "reader" | "sealer",
  url: string,
): Promise<readonly Check[]> {
  const findings = new Findings(role);
  const sessions: Session[] = [];
  try {
    const places: string[] = [];
    for (const [name, at] of [
      ["writer", writerUrl],
      [role, url],
    ] as const) {
      const session = await openSession(name, at);
      sessions.push(session);
      // A standby has its primary's identifier.
      const { rows } = await session.query<{ place: string }>(
        "SELECT (SELECT system_identifier FROM pg_control_system()) || ' ' || current_database() AS place",
      );
      places.push(rows[0]?.place ?? "");
    }
    if (places[0] !== places[1]) {
      findings.fault(
        "is in another database than the writer",
        `correct ${URL_VARIABLES[role]} or ${URL_VARIABLES.writer}`,
      );
    }
  } catch {
    // Whoever could not connect has been told; a server that keeps its identifier to itself cannot be compared.
  } finally {
    for (const session of sessions) await session.end();
  }
  return findings.checks;
}

/** Looks at an application's spool. */
export function checkSpool(directory: string): readonly Check[] {
  const findings = new Findings("spool");
  let spool: ReturnType<typeof inspectSpool>;
  try {
    spool = inspectSpool(directory);
  } catch (error) {
    findings.fault(errorMessage(error), "run doctor as the application's user, on its machine");
    return findings.checks;
  }
  const mode = spool.mode.toString(8);
  if (spool.symbolicLink)
    findings.fault(`${directory} is a symbolic link, which the application refuses`, "name the folder itself");
  else if ((spool.mode & 0o022) !== 0) {
    findings.fault(`others than its owner may write to ${directory} (mode ${mode})`, `chmod 0700 ${directory}`);
  } else if ((spool.mode & 0o077) !== 0) {
    findings.warning(
      `others than its owner may enter ${directory} (mode ${mode}), and events name people`,
      `chmod 0700 ${directory}`,
    );
  } else findings.ok(`${directory} is its owner's alone (mode ${mode})`);
  const left = spool.sources.filter((source) => !source.owned);
  const bytes = (list: typeof left): string => bytesText(list.reduce((sum, source) => sum + source.bytes, 0));
  const owned = spool.sources.filter((source) => source.owned);
  findings.ok(`${counted(owned.length, "source")} of running processes, ${bytes(owned)}`);
  if (left.length > 0) {
    findings.warning(
      `${counted(left.length, "source")} left behind by processes that have ended, ${bytes(left)}`,
      `the application ships them when it runs; those for PostgreSQL also: ${commandLine(`ship --spool ${directory}`)}`,
    );
  }
  if (spool.quarantineBytes > 0) {
    findings.warning(
      `quarantine.ndjson has ${bytesText(spool.quarantineBytes)} of records that could not be shipped`,
      "each line says why",
    );
  }
  return findings.checks;
}
