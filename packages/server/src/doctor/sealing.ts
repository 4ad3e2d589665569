import type pg from "pg";
import { sealProgress } from "../integrity/stored-tree.ts";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** Longer than a handover between two sealers takes. */
const UNSEALED_WARNING_S = 60;

/** Checks whether a sealer runs and keeps up. */
export async function checkSealing(client: pg.Client, findings: Findings): Promise<void> {
  const { size, sealedAt, oldestUnsealed } = await sealProgress(client);
  if (sealedAt === null) {
    findings.skipped("nothing is sealed yet: seclog seal has not run on this log");
    return;
  }
  const seconds = Math.floor(oldestUnsealed);
  if (seconds > UNSEALED_WARNING_S) {
    findings.warning(
      `the oldest unsealed event was stored ${durationText(seconds)} ago`,
      "check that seclog seal is running; its output says what stops it",
    );
  } else findings.ok(`the tree has ${size.toLocaleString("en")} leaves, and new events are sealed in time`);
}

function durationText(seconds: number): string {
  if (seconds < 120) return counted(seconds, "second");
  if (seconds < 7_200) return counted(Math.floor(seconds / 60), "minute");
  if (seconds < 172_800) return counted(Math.floor(seconds / 3_600), "hour");
  return counted(Math.floor(seconds / 86_400), "day");
}
