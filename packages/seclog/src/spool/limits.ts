/** The sizes of a spool, in bytes. */
export interface SpoolLimits {
  /** A new segment starts when the next write would pass this. */
  readonly segmentBytes: number;
  /** The most that all sources of the root may take on disk. */
  readonly maxBytes: number;
  /** The most that may wait in memory for a disk that refuses or stalls. */
  readonly memoryBytes: number;
}
