/**
 * The promise itself: an Express application under load is killed three times with SIGKILL, and its PostgreSQL is
 * restarted. Every acknowledged event is in the table once, and no sequence number is missing.
 *
 * `npm run test:long` records more events; `SECLOG_CRASH_EVENTS` sets how many.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { expect, it } from "vitest";
import { startEmbeddedPostgres } from "../packages/demo/src/embedded-postgres.ts";
import { setupDatabase } from "../packages/seclog/src/postgres/schema/setup.ts";
import { isLong } from "./support/long.ts";
import { steadyPort } from "./support/port.js";
import { sourcesIn } from "./support/sources.ts";

const EVENTS = Number(process.env["SECLOG_CRASH_EVENTS"] ?? (isLong ? 20_000 : 3_000));

it(`createSecurityLog() - loses none of ${EVENTS} events and stores none twice through three kills and a restart of PostgreSQL`, {
  timeout: 300_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "seclog-crash-"));
  const spool = join(folder, "spool");
  const ledger = join(folder, "ledger");
  writeFileSync(ledger, "");
  const started = performance.now();
  const port = await steadyPort();
  let postgres = await startEmbeddedPostgres({ directory: join(folder, "postgres"), port: await steadyPort() });
  const urlFor = (user: string): string => {
    const url = new URL(postgres.url);
    url.username = user;
    url.password = `${user}-secret`;
    url.pathname = "/seclog";
    return url.href;
  };
  const writerUrl = urlFor("app_writer");
  await setupDatabase({ adminUrl: postgres.url, writerUrl, readerUrl: urlFor("app_reader") });

  const startApp = async (): Promise<ChildProcess> => {
    const app = fork(new URL("support/crash-app.js", import.meta.url), {
      env: { ...process.env, PORT: String(port), SPOOL: spool, SECLOG_DATABASE_URL: writerUrl },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    let errors = "";
    app.stderr?.on("data", (text) => {
      errors += text;
    });
    const [message] = await Promise.race([once(app, "message"), once(app, "exit").then(() => [`ended: ${errors}`])]);
    expect(message).toBe("listening");
    return app;
  };

  let app = await startApp();
  const load = fork(new URL("support/crash-load.js", import.meta.url), {
    env: { ...process.env, PORT: String(port), EVENTS: String(EVENTS), LEDGER: ledger },
  });
  let number = 0;
  load.on("message", (message) => {
    number = message as number;
  });
  const reached = async (share: number): Promise<void> => {
    while (number < share * EVENTS && load.exitCode === null) await once(load, "message");
  };
  try {
    for (const [index, share] of [0.2, 0.4, 0.6, 0.75].entries()) {
      await reached(share);
      if (index === 2) {
        await postgres.stop();
        postgres = await startEmbeddedPostgres({ directory: join(folder, "postgres"), port: postgres.port });
      } else {
        app.kill("SIGKILL");
        await once(app, "exit");
        app = await startApp();
      }
    }
    if (load.exitCode === null) await once(load, "exit");
    const ended = once(app, "exit");
    const response = await fetch(`http://127.0.0.1:${port}/close`, { method: "POST" });
    const health = (await response.json()) as { handlers: { behind: number }[] };
    expect(health.handlers[0]?.behind).toBe(0);
    await ended;

    // The last process has adopted and shipped what the killed ones left behind.
    const admin = new pg.Client({ connectionString: postgres.url.replace(/\/[^/]*$/, "/seclog") });
    await admin.connect();
    expect(sourcesIn(spool)).toEqual([]);

    const acknowledged = readFileSync(ledger, "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => Number(line.slice(4)));
    const rows = await admin.query<{ number: number }>(
      `SELECT (data->>'number')::int AS number FROM security_event_log WHERE event_type = 'authz_fail'`,
    );
    const stored = new Set(rows.rows.map(({ number }) => number));
    const lost = acknowledged.filter((number) => !stored.has(number));
    const twice = rows.rows.length - stored.size;
    const unexpected = [...stored].filter((number) => !(number >= 1 && number <= EVENTS));
    const holes = await admin.query(
      `SELECT s.id, s.last_seq, count(e.seq)::int AS rows, max(e.seq) AS max FROM security_event_source s
       LEFT JOIN security_event_log e ON e.source_id = s.id GROUP BY s.id, s.last_seq HAVING count(e.seq) <> s.last_seq OR max(e.seq) <> s.last_seq`,
    );
    const sources = await admin.query<{ count: number }>(
      "SELECT count(*)::int AS count FROM security_event_source WHERE id <> (SELECT own_source FROM security_event_tree)",
    );
    await admin.end();
    console.log(
      `tried ${EVENTS}, acknowledged ${acknowledged.length}, stored ${stored.size}: lost ${lost.length}, twice ${twice}, ` +
        `unexpected ${unexpected.length}, sources with holes ${holes.rows.length}, sources ${sources.rows[0]?.count}, ` +
        `recovered ${stored.size - acknowledged.length}, ${((performance.now() - started) / 1_000).toFixed(1)} s`,
    );
    expect(lost).toEqual([]);
    expect(twice).toBe(0);
    expect(unexpected).toEqual([]);
    expect(holes.rows).toEqual([]);
    expect(sources.rows[0]?.count).toBe(4);
    expect(acknowledged.length).toBeGreaterThan(EVENTS * 0.5);
  } finally {
    app.kill("SIGKILL");
    load.kill("SIGKILL");
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});
