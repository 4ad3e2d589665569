/**
 * `seclog-demo`: the whole product on one machine. It starts a real PostgreSQL in a folder of its own, sets up the log
 * in it, opens the console, starts the sample shop as a process of its own, does to it what happens to shops, and prints
 * the events as they arrive in the table. Then visitors keep coming, for the console to show.
 *
 * In the data directory (`SECLOG_DATA_DIR`, by default `var/` in the current one): `postgres/` for the server,
 * `writer-url`, `reader-url`, `sealer-url` and `pg_service.conf` for clients, `log.key` which signs the log and
 * `log.vkey` its public half, `checkpoint` with the last signed one, `shop/` for the shop's files and its spool.
 *
 * Nothing outlives the demo, even when it is killed: the shop watches the channel to its parent, and a shell that waits
 * on a pipe watches PostgreSQL. Both have process groups of their own, so that Ctrl-C reaches only us and they stop in
 * order: first the shop hands over what it has, then the store stops.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { commandLine, counted, type EventRow, readKeyFile, writeKeyFile } from "@seclog/server/for-demo";
import { runSealer, SealerStateFile } from "@seclog/server/seal";
import { errorMessage, SeclogError } from "seclog";
import { setupDatabase } from "seclog/postgres/schema";
import { startConsole } from "./demo-console.ts";
import { checkPort, DemoError, findPlace, keepUrls, makeDirectory, type Place, readPort } from "./demo-place.ts";
import { type DemoQueue, type DemoQueueName, startQueue } from "./demo-queue.ts";
import { type DemoRequest, demoRequests, type ShopCredentials } from "./demo-requests.ts";
import { DemoTable } from "./demo-table.ts";
import { receiveVisitors } from "./demo-visitors.ts";
import { EmbeddedPostgresError, startEmbeddedPostgres } from "./embedded-postgres.ts";
import { Ended, endSignal } from "./terminal.ts";

/** How {@link runDemo} runs. */
export interface DemoOptions {
  /** Ends by itself when every expected event is in the table. */
  readonly once?: boolean;
  /** Sends the events through this engine and two workers. */
  readonly queue?: DemoQueueName;
}

/** The longest that events may take from the last request to the table. */
const ARRIVAL_DEADLINE_MS = 60_000;

/** The longest that the shop may take to open, including its first passwords, and to hand over and end. */
const SHOP_DEADLINE_MS = 60_000;

/** Runs the demo and resolves to the exit code: 1 when it could not keep its promises, 3 when its output failed. */
export async function runDemo(options: DemoOptions = {}): Promise<number> {
  const signal = endSignal(options.once === true);
  // Undone in reverse order, whatever happens.
  const undo: (() => Promise<void>)[] = [];
  let exitCode = 0;
  try {
    await demo(options, undo, signal);
  } catch (error) {
    const { reason } = signal;
    if (reason instanceof Ended) {
      exitCode = reason.exitCode;
      if (exitCode === 3) complain(reason.message);
    } else {
      exitCode = 1;
      const expected = [DemoError, EmbeddedPostgresError, SeclogError].some((known) => error instanceof known);
      complain(expected ? errorMessage(error) : error instanceof Error ? String(error.stack) : errorMessage(error));
    }
  }
  for (const step of undo.reverse()) {
    await step().catch((error: unknown) => {
      exitCode = 1;
      complain(errorMessage(error));
    });
  }
  return exitCode;
}

async function demo(options: DemoOptions, undo: (() => Promise<void>)[], signal: AbortSignal): Promise<void> {
  const place = findPlace();
  const port = readPort();
  makeDirectory(place.data);

  say("Seclog demo: a shop, its security log, and a database of its own.");
  const postgres = await startEmbeddedPostgres({
    directory: join(place.data, "postgres"),
    onProgress: (what) => say(`· ${what}`),
  });
  undo.push(async () => {
    await postgres.stop();
    say("· stopped PostgreSQL");
  });
  signal.throwIfAborted();
  await checkPort(port);

  say("· setting up the log's database");
  const urls = keepUrls(place.data, postgres.port);
  await setupDatabase({
    adminUrl: postgres.url,
    writerUrl: urls.writer,
    readerUrl: urls.reader,
    sealerUrl: urls.sealer,
    relayUrl: urls.relay,
  }).catch((error) => {
    throw new DemoError(
      `The database in ${place.data} could not be set up: ${errorMessage(error)}. Set SECLOG_DATA_DIR to a new folder, or remove this one, to start anew.`,
    );
  });
  signal.throwIfAborted();

  const sealing = startSealer(place, urls.sealer);
  undo.push(sealing.stop);
  say(`· sealing what is stored, as ${sealing.origin}`);

  const page =
    options.once === true
      ? undefined
      : await startConsole({ reader: urls.reader, writer: urls.writer, vkey: sealing.vkey });
  if (page !== undefined) {
    undo.push(page.stop);
    say(`· the console is open at ${page.link}`);
  }

  const queue = options.queue === undefined ? undefined : await startQueue(options.queue, place.data);
  if (queue !== undefined) {
    undo.push(queue.stop);
    say(`· its events go through ${options.queue}, sealed, and two workers store them`);
  }

  say("· opening the shop");
  const table = await DemoTable.open(urls.reader);
  undo.push(() => table.close());
  const shop = await startShop(place, port, queue?.environment, signal);
  undo.push(shop.stop);
  say(`· the shop is open at http://127.0.0.1:${shop.port}`);
  const stopped = Promise.race([shop.exited.then(() => "the shop"), postgres.exited.then(() => "PostgreSQL")]).then(
    (what) => {
      if (!signal.aborted) throw new DemoError(`${what} ended by itself: see its output above and in ${place.data}`);
    },
  );
  const ended = Promise.race([stopped, ...(queue === undefined ? [] : [queue.failed])]);
  // It takes part in a race below; until then a rejection must not count as unhandled.
  ended.catch(() => {});

  const requests = demoRequests(shop.port, readJson<ShopCredentials>(join(place.shopData, "credentials.json")));
  say(`\n${requests.length} things happen to it. What the table has of them, as it arrives:\n`);
  table.follow();
  await Promise.race([checkRequests(requests, table, signal), ended]);
  await Promise.race([checkSealed(table, signal), sealing.failed, ended]);
  if (options.once === true) return;

  say(`\n${whatNext(place, shop.port, page?.link ?? "")}\n`);
  const closing = new AbortController();
  const visitors = receiveVisitors(shop.port, AbortSignal.any([signal, closing.signal]));
  await Promise.race([ended, sealing.failed, aborted(signal)]).finally(() => {
    closing.abort();
    return visitors;
  });
  say("");
}

/** Sends the requests one after the other and waits until the events they cause are in the table. */
async function checkRequests(requests: readonly DemoRequest[], table: DemoTable, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  for (const request of requests) {
    signal.throwIfAborted();
    const last = request.expects.at(-1);
    const status = await request.send().catch((error: unknown) => {
      throw new DemoError(`The shop did not answer (${request.what}): ${errorMessage(error)}`);
    });
    if (last !== undefined && status !== last.statusCode) {
      throw new DemoError(`The shop answered ${status} instead of ${last.statusCode} (${request.what}).`);
    }
  }
  const sent = performance.now();
  const missing = (): readonly string[] => missingFrom(table.seen, requests);
  while (missing().length > 0 && performance.now() - sent < ARRIVAL_DEADLINE_MS) {
    await sleep(50, undefined, { signal });
  }
  if (missing().length > 0) {
    throw new DemoError(`Not in the table after ${ARRIVAL_DEADLINE_MS / 1000} s: ${missing().join("; ")}.`);
  }
  const expected = requests.reduce((sum, request) => sum + request.expects.length, 0);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`\nAll ${expected} expected events are in the table, ${seconds} s after the first request.`);
}

/** Waits until everything stored so far is under a signed checkpoint. */
async function checkSealed(table: DemoTable, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  const stored = (await table.progress()).stored;
  for (;;) {
    const { sealed } = await table.progress();
    if (sealed >= stored) {
      say(`${counted(sealed, "event")} of the log are sealed: any change to them would be noticed.`);
      return;
    }
    if (performance.now() - started > ARRIVAL_DEADLINE_MS) {
      throw new DemoError(`Not sealed after ${ARRIVAL_DEADLINE_MS / 1000} s: ${stored - sealed} events.`);
    }
    await sleep(50, undefined, { signal });
  }
}

/** The sealer, in this process: a real one runs on a machine that the database's administrators cannot enter. */
function startSealer(
  { data }: Place,
  url: string,
): { readonly origin: string; readonly vkey: string; readonly failed: Promise<never>; stop(): Promise<void> } {
  const file = join(data, "log.key");
  const signer = existsSync(file) ? readKeyFile(file) : writeKeyFile(file, "demo.seclog.example");
  writeFileSync(join(data, "log.vkey"), `${signer.vkey}\n`);
  const stopping = new AbortController();
  const running = runSealer({
    url,
    signer,
    state: new SealerStateFile(join(data, "checkpoint")),
    intervalMs: 250,
    signal: stopping.signal,
    onSealed: () => {},
    onTrouble: (error) => complain(`not sealing: ${errorMessage(error)}`),
  });
  const failed = running.then(
    () => new Promise<never>(() => {}),
    (error: unknown) => {
      throw new DemoError(`The log cannot be sealed: ${errorMessage(error)}`);
    },
  );
  failed.catch(() => {});
  return {
    origin: signer.name,
    vkey: signer.vkey,
    failed,
    stop: async () => {
      stopping.abort();
      await running.catch(() => {});
    },
  };
}

/** The expected events that are missing, in words. An event meets one expectation only. */
function missingFrom(seen: readonly EventRow[], requests: readonly DemoRequest[]): readonly string[] {
  const rest = [...seen];
  return requests.flatMap(({ what, expects }) =>
    expects.flatMap(({ type, statusCode }) => {
      const found = rest.findIndex((event) => event.event_type === type && event.status_code === statusCode);
      if (found < 0) return [`${type} with status ${statusCode} (${what})`];
      rest.splice(found, 1);
      return [];
    }),
  );
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, "utf8")) as T;
}

/** The running shop. */
interface Shop {
  readonly port: number;
  readonly exited: Promise<void>;
  /** Asks it to close, and kills it when that takes too long. Resolves when it has ended. */
  stop(): Promise<void>;
}

async function startShop(
  place: Place,
  port: number,
  queue: DemoQueue["environment"] | undefined,
  signal: AbortSignal,
): Promise<Shop> {
  const { SECLOG_ADMIN_URL: _admin, NODE_ENV: _production, ...environment } = process.env;
  const child = spawn(process.execPath, [join(place.shop, "dist", "server.js")], {
    cwd: place.shop,
    env: {
      ...environment,
      HOST: "127.0.0.1",
      PORT: String(port),
      SHOP_DATA_DIR: place.shopData,
      TRUST_PROXY: "loopback",
      SECLOG_DATABASE_URL: undefined,
      // Through a queue, the shop has no access to the database at all.
      ...(queue ?? { SECLOG_DATABASE_URL_FILE: join(place.data, "writer-url") }),
    },
    detached: true,
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const exited = new Promise<void>((done) => child.once("close", () => done()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const insist = setTimeout(() => child.kill("SIGKILL"), SHOP_DEADLINE_MS);
    await exited;
    clearTimeout(insist);
  };
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(SHOP_DEADLINE_MS)]);
  try {
    const listening = await Promise.race([listeningPort(child), aborted(deadline)]);
    if (listening === undefined) throw new DemoError("The shop did not open in time.");
    return { port: listening, exited, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function listeningPort(child: ChildProcess): Promise<number> {
  return await new Promise((done, failed) => {
    child.on("message", (message: { readonly listening?: number }) => {
      if (message.listening !== undefined) done(message.listening);
    });
    child.once("error", (error) => failed(new DemoError(`The shop could not be started: ${error.message}.`)));
    child.once("exit", (code) => failed(new DemoError(`The shop ended with code ${code} before it was open.`)));
  });
}

async function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return;
  await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
}

/** What to try while it runs; each line can be pasted into a shell. */
function whatNext(place: Place, port: number, console: string): string {
  const file = (name: string): string => quoted(shown(place, join(place.data, name)));
  const lines = [
    `The console: ${console}`,
    "Other visitors come all the time: the console shows what they do, the table here what you do.",
    `The shop: http://127.0.0.1:${port} (names and passwords: ${shown(place, join(place.shopData, "credentials.json"))})`,
    "Do something to it, and see it arrive here:",
    `  curl -i -X DELETE http://127.0.0.1:${port}/products/morning-mug`,
    "Ask the log, in another terminal:",
    `  SECLOG_READER_URL_FILE=${file("reader-url")} ${commandLine("query")} --since 1h --level critical`,
  ];
  if (isInstalled("psql")) {
    lines.push(
      `  PGSERVICEFILE=${file("pg_service.conf")} psql service=seclog -c "SELECT event_type, path, ip_address FROM security_event_log WHERE created_at > now() - interval '1 day'"`,
    );
  }
  lines.push(
    "Check that it is unchanged, with the public key alone:",
    `  SECLOG_READER_URL_FILE=${file("reader-url")} ${commandLine("verify")} --vkey "$(cat ${file("log.vkey")})"`,
  );
  lines.push("Ctrl-C stops everything; the data stays for the next start.");
  return lines.join("\n");
}

/** A path as the person at the terminal would type it. */
function shown(place: Place, path: string): string {
  const short = relative(place.here, path);
  return short.startsWith("..") ? path : short;
}

function quoted(text: string): string {
  return /^[\w./@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function isInstalled(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function complain(text: string): void {
  process.stderr.write(`seclog-demo: ${text}\n`);
}
