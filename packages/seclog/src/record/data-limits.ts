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

/** The most members to visit in one event, stored or not: bounds the time for values that produce no output. */
export const MOST_VISITS = 20_000;

/** A text longer than this is also hashed, so that it can be identified later. */
export const HASHED_FROM = 65_536;

/** The most units to hash in one event, some 50 ms: the application has already spent time on parsing them. */
export const MOST_HASHED = 16_777_216;
