/** Stores the events that dead processes left in a spool. */
import { SeclogError } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { type DrainOptions, type DrainResult, drainSpool, inspectSpool, type SpoolState } from "seclog/spool";

export interface ShipSpoolOptions extends Pick<DrainOptions, "signal" | "onProgress" | "onFailure"> {
  /** The application's `spool.directory`. */
  readonly directory: string;
  /** The writer's connection URL. */
  readonly url: string;
  /** The name of the application's PostgreSQL handler. @default "postgres" */
  readonly name?: string;
  /** Receives how many bytes there are to ship, before the first event is. */
  readonly onBegin?: (bytes: number) => void;
}

/**
 * Ships a spool as its owner: a process of root takes that user's rights first, and keeps them.
 *
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY` for a misspelt directory, which must not look like an empty spool, and if
 * the owner's rights cannot be taken
 */
export async function shipSpool(options: ShipSpoolOptions): Promise<DrainResult> {
  const { directory, url, name = "postgres", onBegin, signal, onProgress, onFailure } = options;
  const handler = postgresHandler({ url, name });
  let state = inspectSpool(directory);
  // Another user may see less, and is not to be shown more than it will ship.
  if (becomeOwner(state)) state = inspectSpool(directory);
  onBegin?.(state.sources.reduce((sum, source) => sum + (source.owned ? 0 : source.bytes), 0));
  return await drainSpool({
    directory,
    handlers: [handler],
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
    ...(onFailure === undefined ? {} : { onFailure }),
  });
}

/**
 * As root, takes the rights of the spool's owner and no others: a user who can change the folder must not be able to
 * redirect root to other files. Files that only root may read were read before.
 *
 * @returns whether the process is another user's now
 */
function becomeOwner({ uid, gid }: SpoolState): boolean {
  if (process.geteuid?.() !== 0 || uid === 0) return false;
  try {
    process.setgroups?.([gid]);
    process.setgid?.(gid);
    process.setuid?.(uid);
    return true;
  } catch (cause) {
    throw new SeclogError(
      "SECLOG_SPOOL_DIRECTORY",
      `the spool belongs to user ${uid}, whose rights this root user cannot take: run ship as that user`,
      { cause },
    );
  }
}
