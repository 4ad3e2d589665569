/** Formats the report of an export's files for people. */
import type { FilesReport } from "../export-files.ts";
import type { Page } from "./report-text.ts";

/** Problems that are printed; `--json` has all. */
const MOST_SHOWN = 20;

/** What was found, and what it does and does not show. */
export function filesText(report: FilesReport, page: Page): string {
  const { intact, problems, files, rows, manifest_sha256, log_size } = report;
  const lines = problems.slice(0, MOST_SHOWN).map((problem) => page.wrapped(page.visible(problem), ""));
  if (problems.length > MOST_SHOWN) lines.push(`and ${problems.length - MOST_SHOWN} more, which --json has`);
  const verdict = intact ? "The files are those of the manifest." : "The files are not those of the manifest.";
  lines.push(page.styled(verdict, intact ? "green" : "red"));
  lines.push(`${rows.toLocaleString("en")} events in ${files.toLocaleString("en")} files; the manifest's SHA-256 is`);
  lines.push(manifest_sha256);
  if (log_size !== null) {
    lines.push(`The log had ${log_size.toLocaleString("en")} sealed leaves, by a checkpoint that its key has signed.`);
  }
  return `${lines.join("\n")}\n`;
}
