/** Checks the personal part of an event: it must be as sealed, or erased on record. */
import type { VerifyContext } from "./context.ts";
import { type EventName, eventText } from "./findings.ts";
import type { PersonalState } from "./row-reader.ts";

/** Reports what is wrong with the personal part of a row whose leaf is right. */
export function judgePersonal(personal: PersonalState, name: EventName, leaf: number, context: VerifyContext): void {
  const { source, id } = name;
  // A range covers it, and none reaches beyond 2^53.
  const seq = Number(name.seq);
  const at = { leaf, source, seq, event_id: id };
  const isErased = context.removals.covers("erased", source, seq);
  if (personal === "changed") {
    context.findings.add(
      "changed",
      `${eventText(name)} was changed: its personal part (who, address, path, data …) is not what was sealed`,
      at,
    );
  } else if (personal === "erased" && !isErased) {
    context.findings.add(
      "erased",
      `${eventText(name)} was erased, and no record says by whom: its personal part is blank`,
      at,
    );
  }
}
