/** The source that an event will belong to. */
export interface Position {
  readonly sourceId: string;
  readonly epoch: number;
  /** The last number that was given. */
  readonly lastSeq: number;
}

/**
 * The number of the source's next event. This is the one place that gives numbers: what keeps the event under it takes it from
 * there, and the source's `lastSeq` is then this.
 */
export function nextSeq({ lastSeq }: Pick<Position, "lastSeq">): number {
  return lastSeq + 1;
}
