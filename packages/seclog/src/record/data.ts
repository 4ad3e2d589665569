import type { NoteTaker } from "../event/text.ts";
import { DATA_LIMITS, type DataLimits } from "./data-limits.ts";
import { DataWalk } from "./data-walk.ts";
import { MemberNames } from "./member-names.ts";
import type { Redactor } from "./redact.ts";

/**
 * The canonical JSON object of a call's data; `undefined` if it is absent or empty. A value that is not an object is
 * wrapped in one, as `value`. Never throws.
 *
 * @param omit top-level members that the event stores elsewhere
 */
export type DataEncoder = (data: unknown, notes: NoteTaker, omit?: ReadonlySet<string>) => string | undefined;

/** The encoder of a log. */
export function createDataEncoder(redactor: Redactor, limits: DataLimits = DATA_LIMITS): DataEncoder {
  const names = new MemberNames(redactor);
  return (data, notes, omit) => {
    if (data === undefined || data === null) return undefined;
    const json = new DataWalk(redactor, limits, names, notes).run(data, omit);
    if (json === undefined || json === "{}") return undefined;
    return json.startsWith("{") ? json : `{"value":${json}}`;
  };
}
