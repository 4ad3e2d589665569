import { errorMessage, isError, isErrorCode } from "../event/errors.ts";
import { type FailureKind, HandlerError } from "./handler.ts";

const KINDS: { readonly [K in FailureKind]: true } = { retry: true, event: true, destination: true };

/**
 * What a handler threw, as the failure that it means: another try, unless it says otherwise. It is known by its members
 * and not by its class, since a handler that is bundled, or that belongs to another copy of the package, has a class of
 * its own.
 */
export function failureOf(thrown: unknown): HandlerError {
  const message = errorMessage(thrown);
  const { isOwn, kind, code, stored } = membersOf(thrown);
  if (isOwn && (thrown as HandlerError).message === message) return thrown as HandlerError;
  const failure = new HandlerError(isKind(kind) ? kind : "retry", message, {
    cause: thrown,
    ...(isKind(kind) && isErrorCode(code) ? { code } : {}),
  });
  if (isKind(kind) && typeof stored === "number") failure.stored = stored;
  return failure;
}

/** The members of a value that need not be an error, or that throws when it is read. */
function membersOf(thrown: unknown): { isOwn?: boolean; kind?: unknown; code?: unknown; stored?: unknown } {
  try {
    if (!isError(thrown)) return {};
    const { kind, code, stored } = thrown as { kind?: unknown; code?: unknown; stored?: unknown };
    return { isOwn: thrown instanceof HandlerError, kind, code, stored };
  } catch {
    return {};
  }
}

function isKind(value: unknown): value is FailureKind {
  return typeof value === "string" && Object.hasOwn(KINDS, value);
}
