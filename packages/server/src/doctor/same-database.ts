import { URL_VARIABLES } from "../config/environment.ts";
import type { Session } from "../database/session.ts";
import { type Check, Findings } from "./findings.ts";
import { openSession } from "./open-session.ts";

/** Checks whether a role connects to the same database as the writer. */
export async function checkSameDatabase(
  writerUrl: string,
  role: "reader" | "sealer" | "relay" | "console",
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
      // A standby has the identifier of its primary.
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
    // A failed connection was reported by checkRole; a server that hides its identifier cannot be compared.
  } finally {
    for (const session of sessions) await session.end();
  }
  return findings.checks;
}
