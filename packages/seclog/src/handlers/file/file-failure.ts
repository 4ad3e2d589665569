import { errorMessage } from "../../event/errors.ts";
import { HandlerError } from "../../ship/handler.ts";

/** Failures that only an operator can fix. All others, a full disk above all, are retried. */
const NEEDS_OPERATOR: ReadonlySet<string> = new Set([
  "EACCES",
  "EEXIST",
  "EISDIR",
  "ELOOP",
  "ENAMETOOLONG",
  "ENOTDIR",
  "ENXIO",
  "EPERM",
  "EROFS",
]);

/** Classifies an error of the operating system. */
export function fileFailure(error: unknown, path: string): HandlerError {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? "";
  const kind = NEEDS_OPERATOR.has(code) ? "destination" : "retry";
  const advice: { readonly [code: string]: string } = {
    EACCES: ": allow the application's user to write there",
    EROFS: ": mount it writable or name another path",
    ELOOP: ": it is a symbolic link, which is not followed",
    ENOSPC: ": free some space",
  };
  return new HandlerError(kind, `cannot write ${path}: ${errorMessage(error)}${advice[code] ?? ""}`, { cause: error });
}
