/** The open logs. All share one `exit` listener. */
const openLogs = new Set<{ processEnds(): void }>();

const onProcessExit = (): void => {
  for (const log of openLogs) log.processEnds();
};

/** Calls `processEnds` when the process exits, until {@link forget}. */
export function remember(log: { processEnds(): void }): void {
  openLogs.add(log);
  if (openLogs.size === 1) process.on("exit", onProcessExit);
}

export function forget(log: { processEnds(): void }): void {
  openLogs.delete(log);
  if (openLogs.size === 0) process.off("exit", onProcessExit);
}
