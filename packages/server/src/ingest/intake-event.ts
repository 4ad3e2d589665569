import type { HandlerError } from "seclog/handler";
import type { DeadReason } from "./consumer.ts";

/** What happens in an intake, for metrics and messages. */
export type IntakeEvent =
  | { readonly kind: "stored"; readonly events: number; readonly ms: number }
  | { readonly kind: "redelivered" | "early" }
  | { readonly kind: "quarantined"; readonly sourceId: string; readonly seq: number; readonly reason: string }
  | { readonly kind: "lost"; readonly sourceId: string; readonly firstSeq: number; readonly lastSeq: number }
  | { readonly kind: "buried"; readonly reason: DeadReason }
  | { readonly kind: "trouble"; readonly error: HandlerError };
