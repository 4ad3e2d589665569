import type { Role } from "../config/environment.ts";
import { Session } from "../database/session.ts";

/** Connects as a role, read-only. */
export function openSession(role: Role, url: string): Promise<Session> {
  return Session.open({ role, url, purpose: "seclog doctor", access: "READ ONLY", schema: "any" });
}
