import { errorMessage } from "../../event/errors.ts";
import { HandlerError } from "../../ship/handler.ts";

/** What only somebody's act can change. Everything else, a full disk above all, is tried again. */
const NEEDS_SOMEBODY: ReadonlySet<string> = new Set([
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

/** What the operating system refused, as the failure that it means. */
export function fileFailure(error: unknown, path: string): HandlerError {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? "";
  const kind = NEEDS_SOMEBODY.has(code) ? "destination" : "retry";
  const advice: { readonly [code: string]: string } = {
    EACCES: ": let the application's user write there",
    EROFS: ": mount it writable or name another path",
    ELOOP: ": it is a symbolic link, which is not followed",
    ENOSPC: ": free some space",
  };
  return new HandlerError(kind, `cannot write ${path}: ${errorMessage(error)}${advice[code] ?? ""}`, { cause: error });
}
