/** How much of an event's data is stored. Anything beyond is cut, and `notes.truncated` has the original size. */
export interface DataLimits {
  /** Objects within objects. @default 32 */
  readonly depth: number;
  /** Members of one object, items of one list. @default 256 */
  readonly members: number;
  /** UTF-16 units of one text. @default 8192 */
  readonly text: number;
  /** UTF-16 units of the whole JSON, give or take a member. @default 65536 */
  readonly total: number;
}

/** The limits of every log. */
export const DATA_LIMITS: DataLimits = { depth: 32, members: 256, text: 8192, total: 65_536 };
