import type { Command } from "commander";
import { SeclogError } from "seclog";
import { type SetupResult, setupDatabase, setupSql } from "seclog/postgres/schema";
import { connectionUrl, requireUrl, roleConfig } from "../../config/environment.ts";
import { commandLine } from "../../config/program.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { styled } from "../../terminal/style.ts";
import { counted } from "../../text/words.ts";

interface SetupCommandOptions {
  readonly database?: string;
  readonly printSql?: true;
  readonly json?: true;
}

/** `seclog setup`. */
export function addSetup(command: Command): void {
  command
    .option("--database <name>", "its name (default: the one in the writer's or reader's URL, else seclog)")
    .option("--print-sql", "print the SQL for a DBA to run, without connecting and without secrets")
    .option("--json", "one JSON document")
    .action(setup);
}

async function setup(options: SetupCommandOptions): Promise<void> {
  if (options.database?.trim() === "") {
    throw new SeclogError("SECLOG_CONFIG", "--database is empty: name the database, or leave the option out");
  }
  const writerUrl = connectionUrl("writer");
  const readerUrl = connectionUrl("reader");
  const sealerUrl = connectionUrl("sealer");
  const relayUrl = connectionUrl("relay");
  const consoleUrl = connectionUrl("console");
  if (options.printSql && options.json) {
    throw new SeclogError("SECLOG_CONFIG", "--print-sql and --json exclude each other: SQL has no JSON form");
  }
  if (options.printSql) {
    const writer = writerUrl === undefined ? undefined : roleConfig("writer", writerUrl);
    const reader = readerUrl === undefined ? undefined : roleConfig("reader", readerUrl);
    const sealer = sealerUrl === undefined ? undefined : roleConfig("sealer", sealerUrl);
    const relay = relayUrl === undefined ? undefined : roleConfig("relay", relayUrl);
    const signIn = consoleUrl === undefined ? undefined : roleConfig("console", consoleUrl);
    const database =
      options.database ?? [writer, reader, sealer, relay, signIn].find((login) => login?.database)?.database;
    await print(
      setupSql({
        ...(database === undefined ? {} : { database }),
        ...(writer?.user === undefined ? {} : { writer: writer.user }),
        ...(reader?.user === undefined ? {} : { reader: reader.user }),
        ...(sealer?.user === undefined ? {} : { sealer: sealer.user }),
        ...(relay?.user === undefined ? {} : { relay: relay.user }),
        ...(signIn?.user === undefined ? {} : { console: signIn.user }),
      }),
    );
    return;
  }
  const adminUrl = requireUrl("admin");
  const progress = new Progress();
  let result: SetupResult;
  try {
    result = await setupDatabase({
      adminUrl,
      writerUrl,
      readerUrl,
      sealerUrl,
      relayUrl,
      consoleUrl,
      database: options.database,
      onProgress: (what) => progress.show(`${what} …`),
    });
  } finally {
    progress.clear();
  }
  for (const warning of result.warnings) notice(`${styled("warning:", "yellow", process.stderr)} ${warning}`);
  await print(options.json ? jsonLine(document(result)) : summary(result, { writerUrl, readerUrl, sealerUrl }));
}

/** The members have the names of the other commands' documents. */
function document({
  database,
  serverVersion,
  databaseCreated,
  migrationsApplied,
  partitionsCreated,
  warnings,
}: SetupResult): unknown {
  return {
    database,
    server_version: serverVersion,
    database_created: databaseCreated,
    migrations_applied: migrationsApplied,
    partitions_created: partitionsCreated,
    warnings,
  };
}

function summary(
  result: SetupResult,
  { writerUrl, readerUrl, sealerUrl }: { readonly [url: string]: string | undefined },
): string {
  const { database, databaseCreated, migrationsApplied, partitionsCreated, serverVersion } = result;
  const changed = databaseCreated || migrationsApplied.length > 0 || partitionsCreated > 0;
  const lines = [`Database ${database} on PostgreSQL ${serverVersion}: ${changed ? "set up." : "nothing to change."}`];
  if (databaseCreated) lines.push("  created the database");
  for (const name of migrationsApplied) lines.push(`  applied ${name}`);
  if (partitionsCreated > 0) lines.push(`  added ${counted(partitionsCreated, "partition")}`);
  if (writerUrl === undefined) lines.push("No login for applications: set SECLOG_DATABASE_URL and run setup again.");
  if (readerUrl === undefined) lines.push("No login for readers: set SECLOG_READER_URL and run setup again.");
  if (sealerUrl === undefined) lines.push("No login for the sealer: set SECLOG_SEALER_URL and run setup again.");
  lines.push(`Next: ${commandLine("doctor")}`);
  return `${lines.join("\n")}\n`;
}
