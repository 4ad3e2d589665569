/** The source that an event will belong to. */
export interface Position {
  readonly sourceId: string;
  readonly epoch: number;
  /** The last number assigned. */
  readonly lastSeq: number;
}

/**
 * The number of the source's next event. Only this function assigns numbers: append the event under this number, and it
 * becomes the source's `lastSeq`.
 */
export function nextSeq({ lastSeq }: Pick<Position, "lastSeq">): number {
  return lastSeq + 1;
}
