/** Everything a log is for, from setup to retention, with the program itself: on another server, after a restore, … */
import { createSecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { expect } from "vitest";
import { type ProgramUrls, type Result, runProgram } from "./program.ts";

/** A log and the key that seals it. */
export interface LogUnderTest {
  readonly urls: ProgramUrls;
  readonly key: string;
  readonly vkey: string;
}

/** Runs the program and expects success. */
export async function succeed(urls: ProgramUrls, ...args: string[]): Promise<Result> {
  const result = await runProgram(urls, args);
  expect(result, `seclog ${args.join(" ")}: ${result.stderr}`).toMatchObject({ code: 0 });
  return result;
}

/** The faults that doctor reports, except those of every test server. */
export async function faults(urls: ProgramUrls): Promise<string[]> {
  const { stdout } = await runProgram(urls, ["doctor", "--json"]);
  const { checks } = JSON.parse(stdout) as { checks: { status: string; finding: string }[] };
  return checks
    .filter(({ status, finding }) => status === "fault" && !finding.includes("fsync = off"))
    .map(({ finding }) => finding);
}

/** An application stores an actor's events, as a source of its own. */
export async function store(urls: ProgramUrls, actor: string, count = 20): Promise<void> {
  const log = createSecurityLog({
    service: "life",
    spool: "memory",
    heartbeat: false,
    handlers: [postgresHandler({ url: urls.writerUrl })],
  });
  const receipts = Array.from({ length: count }, () => log.recordSecurityEvent("authz_fail", null, { actor }));
  await Promise.all(receipts.map(({ stored }) => stored));
  await log.close();
}

/** Stores, reads, seals, verifies, erases and prunes; in the end doctor must report nothing. */
export async function live({ urls, key, vkey }: LogUnderTest, actor: string): Promise<void> {
  await store(urls, actor);
  const { stdout } = await succeed(urls, "query", "--json", "--limit", "all", "--actor", actor);
  expect(JSON.parse(stdout)).toMatchObject({ events: { length: 20 } });
  await succeed(urls, "stats", "--json");
  await succeed(urls, "seal", "--once", "--key", key);
  await succeed(urls, "verify", "--vkey", vkey);
  await succeed(urls, "erase", "--actor", actor, "--reason", "ticket", "--yes");
  await succeed(urls, "prune", "--older-than", "1y", "--reason", "policy", "--yes");
  await succeed(urls, "seal", "--once", "--key", key);
  await succeed(urls, "verify", "--vkey", vkey);
  expect(await faults(urls)).toEqual([]);
}
