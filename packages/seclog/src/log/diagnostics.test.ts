import { expect, test } from "vitest";
import type { Diagnostic } from "../record/security-log.ts";
import { Diagnostics } from "./diagnostics.ts";

test("repetitions are suppressed and counted, but not what is told once in a log's life", () => {
  const told: Diagnostic[] = [];
  const diagnostics = new Diagnostics((diagnostic) => told.push(diagnostic));
  const tell = (message: string, limited?: boolean): void =>
    diagnostics.tell({ level: "error", code: "SECLOG_SPOOL_DIRECTORY", message }, limited);
  tell("no spool");
  tell("no spool, again");
  tell("three events are lost", false);
  diagnostics.giveNow();
  expect(told.map(({ message, suppressed }) => [message, suppressed])).toEqual([
    ["no spool", undefined],
    ["three events are lost", 1],
  ]);
});
