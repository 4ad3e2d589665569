import type { Command } from "commander";
import { SeclogError } from "seclog";
import { connectionUrl, URL_VARIABLES } from "../../config/environment.ts";
import { examine } from "../../doctor/examine.ts";
import type { Check } from "../../doctor/findings.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { wrapped } from "../../terminal/line-width.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { type Style, styled } from "../../terminal/style.ts";
import { counted } from "../../text/words.ts";
import { conclude, Exit } from "../exit.ts";
import { parseCount } from "../options/numbers.ts";

interface DoctorOptions {
  readonly spool?: string;
  readonly processes: string;
  readonly logs: string;
  readonly poolMax: string;
  readonly json?: true;
}

/** `seclog doctor`. */
export function addDoctor(command: Command): void {
  command
    .option("--spool <directory>", "also check an application's spool.directory on this machine")
    .option("--processes <number>", "how many application processes write", "1")
    .option("--logs <number>", "how many logs each process opens (createSecurityLog)", "1")
    .option("--pool-max <number>", "the most connections per log (poolMax)", "2")
    .option("--json", "one JSON document: { ok, faults, warnings, checks }")
    .action(doctor);
}

async function doctor(options: DoctorOptions): Promise<void> {
  const limits = {
    processes: parseCount("--processes", options.processes, 999_999),
    logs: parseCount("--logs", options.logs, 999_999),
    poolMax: parseCount("--pool-max", options.poolMax, 999_999),
  };
  const { spool } = options;
  const urls = {
    admin: connectionUrl("admin"),
    writer: connectionUrl("writer"),
    reader: connectionUrl("reader"),
    sealer: connectionUrl("sealer"),
    relay: connectionUrl("relay"),
    console: connectionUrl("console"),
  };
  if (Object.values(urls).every((url) => url === undefined) && spool === undefined) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `nothing to check: set ${Object.values(URL_VARIABLES).join(", ")} (or the same with _FILE), or pass --spool`,
    );
  }
  const signal = interruption();
  const progress = new Progress();
  const onProgress = (what: string): void => progress.show(`${what} …`);
  const { ok, faults, warnings, checks } = await unlessInterrupted(
    signal,
    examine({ urls, limits, spool, signal, onProgress }),
  );
  progress.clear();
  const text = options.json
    ? jsonLine({ ok, faults, warnings, checks })
    : `${reportText(checks)}\n${verdict(faults, warnings)}\n`;
  await conclude(ok ? undefined : new Exit(1), () => print(text));
}

const SHOWN: { readonly [S in Check["status"]]: readonly [text: string, style: Style] } = {
  ok: ["ok", "green"],
  warning: ["warning", "yellow"],
  fault: ["FAULT", "alarm"],
  skipped: ["-", "dim"],
};
const INDENT = " ".repeat(10);

function reportText(checks: readonly Check[]): string {
  const areas = [...new Set(checks.map(({ area }) => area))];
  return areas
    .map((area) => {
      const lines = checks.filter((check) => check.area === area).map(checkText);
      return `${styled(area, "bold")}\n${lines.join("")}`;
    })
    .join("\n");
}

function checkText({ status, finding, advice }: Check): string {
  const [text, style] = SHOWN[status];
  const mark = `  ${styled(text, style)}${" ".repeat(8 - text.length)}`;
  const remedy = advice === undefined ? "" : `${INDENT}→ ${wrapped(advice, `${INDENT}  `)}\n`;
  return `${mark}${wrapped(finding, INDENT)}\n${remedy}`;
}

function verdict(faults: number, warnings: number): string {
  if (faults > 0) return styled(`${counted(faults, "fault")}, ${counted(warnings, "warning")}.`, "alarm");
  if (warnings > 0) return styled(`No faults, ${counted(warnings, "warning")}.`, "yellow");
  return styled("All is well.", "green");
}
