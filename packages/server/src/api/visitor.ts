import type { UserRole } from "@seclog/api";

/** A person or a program. */
export interface Visitor {
  readonly name: string;
  readonly role: UserRole;
}
