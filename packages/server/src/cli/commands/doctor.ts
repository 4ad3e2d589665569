import type { Command } from "commander";
import { SeclogError } from "seclog";
import { connectionUrl, type Role, URL_VARIABLES } from "../../config/environment.ts";
import { checkRole, checkSameDatabase, checkSpool } from "../../doctor/checks.ts";
import type { Check } from "../../doctor/findings.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { wrapped } from "../../terminal/line-width.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { type Style, styled } from "../../terminal/style.ts";
import { counted } from "../../text/words.ts";
import { parseCount } from "../options/numbers.ts";

interface DoctorOptions {
  readonly spool?: string;
  readonly processes: string;
  readonly logs: string;
  readonly poolMax: string;
  readonly json?: true;
}

/** `seclog doctor`. */
export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .description("connect as each role, and say what is wrong and what to do")
    .option("--spool <directory>", "an application's spool.directory on this machine, too")
    .option("--processes <number>", "how many processes of applications write", "1")
    .option("--logs <number>", "how many logs each of them opens (createSecurityLog)", "1")
    .option("--pool-max <number>", "the most connections of each log (poolMax)", "2")
    .option("--json", "one JSON document: { ok, checks }")
    .action(doctor);
}

async function doctor(options: DoctorOptions): Promise<void> {
  const limits = {
    processes: parseCount("--processes", options.processes, 999_999),
    logs: parseCount("--logs", options.logs, 999_999),
    poolMax: parseCount("--pool-max", options.poolMax, 999_999),
  };
  const signal = interruption();
  const urls = new Map<Role, string | undefined>(
    (["admin", "writer", "reader", "sealer"] as const).map((role) => [role, connectionUrl(role)]),
  );
  if ([...urls.values()].every((url) => url === undefined) && options.spool === undefined) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `there is nothing to look at: set ${Object.values(URL_VARIABLES).join(", ")} (or the same with _FILE), or give --spool`,
    );
  }
  const progress = new Progress();
  const checks: Check[] = [];
  for (const [role, url] of urls) {
    if (url === undefined) {
      checks.push({ area: role, status: "skipped", finding: `not looked at: ${URL_VARIABLES[role]} is not set` });
      continue;
    }
    progress.show(`connecting as the ${role} …`);
    checks.push(...(await unlessInterrupted(signal, checkRole(role, url, limits))));
  }
  const writer = urls.get("writer");
  for (const role of ["reader", "sealer"] as const) {
    const url = urls.get(role);
    if (writer === undefined || url === undefined) continue;
    checks.push(...(await unlessInterrupted(signal, checkSameDatabase(writer, role, url))));
  }
  if (options.spool !== undefined) checks.push(...checkSpool(options.spool));
  progress.clear();
  const faults = checks.filter(({ status }) => status === "fault").length;
  const warnings = checks.filter(({ status }) => status === "warning").length;
  if (options.json) await print(jsonLine({ ok: faults === 0, faults, warnings, checks }));
  else await print(`${reportText(checks)}\n${verdict(faults, warnings)}\n`);
  if (faults > 0) process.exitCode = 1;
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
  if (warnings > 0) return styled(`No fault, ${counted(warnings, "warning")}.`, "yellow");
  return styled("All is well.", "green");
}
