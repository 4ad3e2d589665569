import { expect, it } from "vitest";
import type { Diagnostic } from "../record/security-log.ts";
import { Diagnostics } from "./diagnostics.ts";

it("Diagnostics - suppresses and counts repetitions, but not what is reported once in a log's life", () => {
  const delivered: Diagnostic[] = [];
  const diagnostics = new Diagnostics((diagnostic) => delivered.push(diagnostic));
  const report = (message: string, limited?: boolean): void =>
    diagnostics.report({ level: "error", code: "SECLOG_SPOOL_DIRECTORY", message }, limited);
  report("no spool");
  report("no spool, again");
  report("three events are lost", false);
  diagnostics.deliverNow();
  expect(delivered.map(({ message, suppressed }) => [message, suppressed])).toEqual([
    ["no spool", undefined],
    ["three events are lost", 1],
  ]);
});
