/**
 * Nest handles the exceptions of guards, pipes and handlers itself: none reaches Express or Fastify. All of them pass
 * this one class, before the application's own filters. Global filters and the adapters' hooks have one slot each, which
 * is the application's.
 */
import { ExceptionsHandler } from "@nestjs/core/exceptions/exceptions-handler.js";
import { observationOf } from "../observe.ts";
import type { Refusal } from "../refusal.ts";

/** The part of Nest's `ArgumentsHost` that is used. */
interface Host {
  getType?(): string;
  getArgByIndex(index: number): unknown;
}

let seeing = false;

/** Sees the exceptions of every Nest application in the process. Requests that no capture opened pass untouched. */
export function seeExceptions(): void {
  if (seeing) return;
  seeing = true;
  const prototype = ExceptionsHandler.prototype as { next(exception: unknown, host: unknown): unknown };
  const { next } = prototype;
  prototype.next = function (this: unknown, exception, host) {
    sawException(exception, host as Host);
    return Reflect.apply(next, this, [exception, host]);
  };
}

function sawException(exception: unknown, host: Host): void {
  try {
    if (host.getType?.() !== "http") return;
    const observation = observationOf(host.getArgByIndex(0) as object);
    const refusal = validationPipeRefusal(exception);
    if (refusal === undefined) observation?.sawError(exception);
    else observation?.sawRefusal(refusal);
  } catch {
    // Not what Nest passes.
  }
}

/** The beginning of class-validator's own sentences: the field, and what it should be. */
const SENTENCE =
  /^(?:each value in |property |nested property )?([A-Za-z_$][\w$.]{0,100}) (?:must|should|has|is|contains)\b/;

/** What `ValidationPipe` throws: a 400 or 422 with a sentence for each field. Only the names are taken. */
function validationPipeRefusal(exception: unknown): Refusal | undefined {
  const { getResponse } = Object(exception) as { readonly getResponse?: unknown };
  if (typeof getResponse !== "function") return undefined;
  const { message, statusCode } = Object(Reflect.apply(getResponse, exception, [])) as {
    readonly message?: unknown;
    readonly statusCode?: unknown;
  };
  if (!Array.isArray(message) || (statusCode !== 400 && statusCode !== 422)) return undefined;
  const fields = new Set<string>();
  for (const sentence of message.slice(0, 20)) {
    const field = SENTENCE.exec(String(sentence))?.[1];
    if (field !== undefined) fields.add(field);
  }
  return {
    detector: "validation",
    facts: { reason: "ValidationPipe", ...(fields.size > 0 && { fields: [...fields] }) },
    ifRefused: true,
  };
}
