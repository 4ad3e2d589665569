/** Formats the report of a verification for people. */
import { countText, MOST_FINDINGS } from "../findings.ts";
import type { VerifyReport } from "../verify-report.ts";

/** The terminal to write for: its colours, its width, and how it shows a stranger's text. */
export interface Page {
  styled(text: string, style: "red" | "green" | "alarm"): string;
  /** Breaks text at spaces to fit the line, and indents later lines. */
  wrapped(text: string, indent: string): string;
  /** One line, without a character that a terminal would obey. */
  visible(text: string): string;
}

/** Findings, and removals, that are printed; `--json` has more. */
const MOST_SHOWN = 20;

/** The report, findings first. */
export function reportText(report: VerifyReport, page: Page): string {
  const { origin, intact, findings, findings_total } = report;
  const lines: string[] = [];
  const shown = findings.slice(0, MOST_SHOWN);
  for (const { kind, sentence } of shown) {
    lines.push(`${page.styled(kind.padEnd(10), "red")} ${page.wrapped(page.visible(sentence), " ".repeat(11))}`);
  }
  const more = findings_total - shown.length;
  if (more > 0)
    lines.push(`and ${more.toLocaleString("en")} more; --json lists the first ${MOST_FINDINGS.toLocaleString("en")}`);
  if (shown.length > 0) lines.push("");
  lines.push(
    intact
      ? page.styled(`${origin} is intact.`, "green")
      : page.styled(`${origin} is NOT what was sealed: ${countText(findings_total, "finding")}.`, "alarm"),
  );
  lines.push(...summary(report), ...removals(report, page));
  for (const text of report.notes) lines.push(page.wrapped(`Note: ${page.visible(text)}`, "  "));
  return `${lines.join("\n")}\n`;
}

/** A warning of what an intact report cannot show if no checkpoint kept elsewhere was compared. */
export function reportHint({ intact, checkpoints_elsewhere, from }: VerifyReport): string | undefined {
  if (!intact || checkpoints_elsewhere > 0 || from > 0) return undefined;
  return "Without --checkpoint, verification cannot notice a tail that was cut off or a database that was rolled back.";
}

const BAR_WIDTH = 20;

/** A line with a bar that shows how far a verification is. */
export function progressText(done: number, size: number): string {
  const share = size === 0 ? 1 : done / size;
  const full = Math.round(share * BAR_WIDTH);
  return `${"█".repeat(full)}${"░".repeat(BAR_WIDTH - full)} ${Math.floor(share * 100)} %  ${done.toLocaleString("en")} of ${size.toLocaleString("en")} leaves`;
}

function summary(report: VerifyReport): string[] {
  const after = report.from > 0 ? ` after leaf ${report.from.toLocaleString("en")}` : "";
  const lines = [
    `${countText(report.events, "event")} of ${countText(report.sources, "source")}${after}, ${report.size.toLocaleString("en")} leaves, sealed until ${timeText(report.sealed_at)}`,
  ];
  if (report.erased > 0)
    lines.push(`${countText(report.erased, "event")} erased by ${countText(report.erasures, "removal")} on record`);
  if (report.pruned > 0)
    lines.push(`${countText(report.pruned, "event")} pruned by ${countText(report.prunings, "removal")} on record`);
  if (report.quarantined > 0) lines.push(`${countText(report.quarantined, "record")} in quarantine`);
  if (report.unsealed > 0) {
    lines.push(
      `${countText(report.unsealed, "event")} not sealed yet, the oldest stored ${timeText(report.oldest_unsealed_at)}`,
    );
  }
  const elsewhere =
    report.checkpoints_elsewhere > 0
      ? `, and with ${countText(report.checkpoints_elsewhere, "checkpoint")} kept elsewhere`
      : "";
  lines.push(`compared with ${countText(report.checkpoints, "stored checkpoint")}${elsewhere}`);
  for (const { vkey, first_size, last_size } of report.keys) {
    const [name, id] = vkey.split("+");
    lines.push(
      `key ${name}+${id}: ${first_size === null ? "signed none of them" : `signed from ${first_size.toLocaleString("en")} to ${last_size?.toLocaleString("en")} leaves`}`,
    );
  }
  return lines;
}

/** One line for each removal: what was removed, when, by whom and why. */
function removals(report: VerifyReport, page: Page): string[] {
  const lines = report.removals.slice(0, MOST_SHOWN).map((removal) => {
    const { number, kind, recorded_at, actor_id, rows, sources, reason, partitions, sealed } = removal;
    const which = partitions.length > 0 ? `, ${partitions.join(", ")}` : "";
    const what = `${kind} ${countText(rows, "row")} of ${countText(sources, "source")}${which}`;
    const who =
      recorded_at === null
        ? "no event records it"
        : `${timeText(recorded_at)}, ${actor_id ?? "unknown actor"}: ${reason ?? "no reason"}`;
    const late = recorded_at === null || sealed ? "" : " (its record is not sealed yet)";
    return page.wrapped(page.visible(`Removal ${number}, ${what}. ${who}${late}`), "  ");
  });
  const more = report.removals.length - lines.length;
  if (more > 0) lines.push(`and ${more.toLocaleString("en")} more removals; --json lists them all`);
  return lines;
}

function timeText(text: string | null): string {
  return text === null ? "never" : `${text.slice(0, 19).replace("T", " ")} UTC`;
}
