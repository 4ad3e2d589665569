/**
 * Resident memory that Seclog adds to an application: at rest, and with PostgreSQL down and a million events recorded.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { table } from "./report.js";

const child = fileURLToPath(new URL("memory-child.js", import.meta.url));

/** @param {{ events?: number }} options */
export function benchMemory({ events = 1_000_000 } = {}) {
  const run = (kind, count) =>
    JSON.parse(
      execFileSync(process.execPath, [child, kind, String(count)], {
        encoding: "utf8",
        // Nothing listens there: PostgreSQL is down.
        env: { ...process.env, SECLOG_DATABASE_URL: "postgresql://writer:none@127.0.0.1:9/seclog" },
      }),
    );
  const without = run("without", events);
  const idle = run("with", 0);
  const down = run("with", events);
  console.log(`\nResident memory of an Express application, MiB; PostgreSQL is down\n`);
  const row = (name, { idle: atRest, most, after }) => [name, atRest.toFixed(0), most.toFixed(0), after.toFixed(0)];
  table(
    ["", "at rest", "at most", "afterwards"],
    [
      row("without Seclog, the same loop", without),
      row("with Seclog, nothing recorded", idle),
      row(`with Seclog, ${events} recorded`, down),
    ],
  );
  console.log(`\n${down.recorded} recorded, ${down.dropped} dropped, ${down.spooled.toFixed(0)} MiB in the spool.`);
  return { events, without, idle, down };
}
