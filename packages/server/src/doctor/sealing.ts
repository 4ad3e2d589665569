import type pg from "pg";
import { sealProgress } from "../integrity/stored-tree.ts";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** Unsealed for longer than this is more than a sealer that takes its turn. */
const UNSEALED_WARNING_S = 60;

/** Whether somebody seals, and keeps up. */
export async function checkSealing(client: pg.Client, findings: Findings): Promise<void> {
  const { size, sealedAt, oldestUnsealed } = await sealProgress(client);
  if (sealedAt === null) {
    findings.skipped("nothing is sealed yet: seclog seal has not run on this log");
    return;
  }
  const seconds = Math.floor(oldestUnsealed);
  if (seconds > UNSEALED_WARNING_S) {
    findings.warning(
      `the oldest event that is not sealed was stored ${durationText(seconds)} ago`,
      "is seclog seal running? What it prints says why it does not get on",
    );
  } else findings.ok(`the tree has ${size.toLocaleString("en")} leaves, and what is new is sealed in time`);
}

function durationText(seconds: number): string {
  if (seconds < 120) return counted(seconds, "second");
  if (seconds < 7_200) return counted(Math.floor(seconds / 60), "minute");
  if (seconds < 172_800) return counted(Math.floor(seconds / 3_600), "hour");
  return counted(Math.floor(seconds / 86_400), "day");
}
