/** The world of one fault: a folder, a database, a ledger, and the applications that live in it. */
import { execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startEmbeddedPostgres } from "@seclog/demo/embedded-postgres";
import pg from "pg";
import { postgresHandler } from "seclog/postgres";
import { setupDatabase } from "seclog/postgres/schema";
import { drainSpool } from "seclog/spool";
import { check } from "./check.js";

/** A PostgreSQL that does not exist: connections are refused at once. */
export const NOWHERE = "postgresql://nobody:nothing@127.0.0.1:1/nowhere";

const APPLICATIONS = new URL("applications/", import.meta.url);
const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const PASSWORDS = { writer: "faults-writer", reader: "faults-reader", sealer: "faults-sealer", relay: "faults-relay" };

/** A PostgreSQL of our own, in a folder that is removed with it. It can be killed and restarted on the same port. */
export class Server {
  #folder = mkdtempSync(join(tmpdir(), "seclog-faults-postgres-"));
  #postgres;
  #databases = 0;
  #settings;

  /** @param {Record<string, string>} settings server settings */
  static async start(settings = {}) {
    const server = new Server();
    server.#settings = settings;
    try {
      await server.up();
    } catch (error) {
      rmSync(server.#folder, { recursive: true, force: true });
      throw error;
    }
    return server;
  }

  async up() {
    this.#postgres = await startEmbeddedPostgres({
      directory: this.#folder,
      port: this.#postgres?.port ?? 0,
      settings: { max_connections: "60", ...this.#settings },
    });
  }

  get url() {
    return this.#postgres.url;
  }
  get port() {
    return this.#postgres.port;
  }
  /** The postmaster's process id; its children are the sessions. */
  get pid() {
    return this.#postgres.pid;
  }
  /** Its folder, with `pgdata` inside. */
  get folder() {
    return this.#folder;
  }

  /** SIGKILL to the postmaster. Call {@link up} afterwards. */
  async kill() {
    this.#postgres.kill();
    await this.#postgres.exited;
  }

  /** A fast shutdown. */
  async down() {
    await this.#postgres.stop();
  }

  /** A database of its own with Seclog's tables. */
  async database() {
    const name = `faults_${++this.#databases}`;
    const urlOf = (user, password) => {
      const url = new URL(this.url);
      url.pathname = `/${name}`;
      if (user !== undefined) Object.assign(url, { username: user, password });
      return url.href;
    };
    const urls = {
      name,
      adminUrl: urlOf(),
      writerUrl: urlOf("faults_writer", PASSWORDS.writer),
      readerUrl: urlOf("faults_reader", PASSWORDS.reader),
      sealerUrl: urlOf("faults_sealer", PASSWORDS.sealer),
      relayUrl: urlOf("faults_relay", PASSWORDS.relay),
    };
    const { writerUrl, readerUrl, sealerUrl, relayUrl } = urls;
    await setupDatabase({ adminUrl: this.url, writerUrl, readerUrl, sealerUrl, relayUrl });
    return urls;
  }

  /** Runs SQL as the superuser, outside the worlds' databases. */
  async query(text) {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  }

  async end() {
    await this.#postgres.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The options of {@link World.startApp}; the application is app.js. */
const APP = {
  /** How many events; without it, records until it is stopped or killed. */
  count: undefined,
  /** Events in one turn of the event loop, and milliseconds between two turns. */
  perTurn: 20,
  pause: 0,
  /** The most events that may await acknowledgement. */
  inFlight: 500,
  /** The most characters of a text. */
  textLength: 200,
  types: ["authz_fail"],
  /** What the ledger's `ack` waits for: `durable` or `stored`. */
  wait: "durable",
  /** Waits for all acknowledgements once `count` is reached. */
  settle: true,
  /** Then closes by itself, with this deadline in milliseconds; without it, waits for {@link App.close}. */
  close: undefined,
  closeDeadline: 60_000,
  spool: {},
  handler: {},
  /** `{ engine, url, confirm, … }`: a queue's handler instead of PostgreSQL's. */
  queue: undefined,
  /** `{ url, token }`: a collector instead of either. */
  collector: undefined,
  durability: {},
  onFull: undefined,
  /** The shipper's thread crashes again and again. */
  crashes: false,
  /** Does not ship while the file that `FAULT_CONTROL` names holds an order: see stalling-handler.js. */
  stalls: false,
  /** Signals on which it closes the log and ends. */
  signals: [],
  /** Kills itself (SIGKILL) as soon as it has written this many acknowledgements to the ledger. */
  diesAt: undefined,
  /** `{ at, how }`: the event after which it leaves without a close, by `exit`, `throw`, `reject` or `end`. */
  leave: undefined,
};

/** Longer than any healthy start or close takes, even on a busy machine or under strace. */
const START_MS = 120_000;
const CLOSE_MS = 180_000;

/** Resolves as the promise does; rejects with `otherwise` when the deadline passes first. */
async function within(promise, deadline, otherwise) {
  const done = new AbortController();
  const late = sleep(deadline, undefined, { signal: done.signal }).then(() => {
    throw new Error(otherwise());
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    late.catch(() => {});
    done.abort();
  }
}

/** A running application. */
class App {
  exited;
  /** The last report: counts, failures by code, the longest stall in milliseconds, resident bytes, health. */
  state = { stall: 0 };
  errors = "";
  #onReport;
  /** Resolves when the process has exited and everything it reported was read. */
  #ended;

  constructor(child, life, onReport) {
    this.child = child;
    this.life = life;
    this.#onReport = onReport;
    this.exited = once(child, "exit").then(([code, signal]) => signal ?? code);
    this.#ended = once(child, "close").then(([code, signal]) => signal ?? code);
    // startApp() reports the failure.
    this.#ended.catch(() => {});
    child.stderr?.on("data", (text) => {
      this.errors += text;
    });
    child.on("message", (message) => {
      // The rest is "ready", and the replies of lives-app.js.
      if (message.stall === undefined) return;
      this.state = message;
      this.#onReport(message);
    });
  }

  get ended() {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async kill(signal = "SIGKILL") {
    this.child.kill(signal);
    return await this.exited;
  }

  /** Stops it, and resolves when none of its threads runs: from then on it executes nothing, and can be killed. */
  async freeze() {
    this.child.kill("SIGSTOP");
    const tasks = `/proc/${this.child.pid}/task`;
    // The state follows the name, which ends with the last parenthesis. D: in the kernel, and stopped on its way out.
    const isFrozen = (task) => {
      const stat = join(tasks, task, "stat");
      return !existsSync(stat) || /\) [TtDZX] /.test(readFileSync(stat, "utf8"));
    };
    for (const end = performance.now() + 10_000; !readdirSync(tasks).every(isFrozen); await sleep(1)) {
      if (performance.now() > end) throw new Error("the application did not stop");
    }
  }

  /** Resolves when a report satisfies `condition`; rejects when the application ends first, or at the deadline. */
  async until(condition, deadline = 60_000) {
    const end = performance.now() + deadline;
    while (!condition(this.state)) {
      if (this.ended) throw new Error(`the application ended (${await this.exited}): ${this.errors}`);
      if (performance.now() > end) throw new Error(`not within ${deadline} ms; last: ${JSON.stringify(this.state)}`);
      await sleep(20);
    }
    return this.state;
  }

  /** Resolves when `count` events were recorded and acknowledged. */
  async done(deadline) {
    return await this.until((state) => state.done === true || state.closed !== undefined, deadline);
  }

  /**
   * Stops recording and calls `close()` with the options' deadline. Resolves to the last report. Rejects when the
   * application did not report its close or exited with an error, and kills it when it does not exit.
   */
  async close() {
    if (this.child.connected) this.child.send("stop");
    try {
      const code = await within(this.#ended, CLOSE_MS, () => `not closed within ${CLOSE_MS} ms`);
      if (code !== 0 || this.state.closed === undefined) throw new Error(`it exited with ${code} and did not close`);
    } catch ({ message }) {
      if (!this.ended) await this.kill();
      throw new Error(`the application: ${message}; last: ${JSON.stringify(this.state)}: ${this.errors}`);
    }
    return this.state;
  }
}

/** A folder, a database and a ledger, and what a fault does to them. */
export class World {
  /** The root of the spool. */
  spool;
  folder;
  database;
  server;
  /** The longest stall of an application's event loop, and the longest drain, in milliseconds. */
  stall = 0;
  drained = 0;
  #ledger;
  #pipe;
  #lives = 0;
  #marks = 0;
  #apps = new Set();

  /**
   * @param {{ server: Server, spool?: string }} options @param options.spool the spool's root, when it is on another
   * disk
   */
  static async create({ server, spool }) {
    const world = new World();
    world.server = server;
    world.folder = mkdtempSync(join(tmpdir(), "seclog-fault-"));
    world.spool = spool ?? join(world.folder, "spool");
    world.database = await server.database();
    const pipe = join(world.folder, "pipe");
    execFileSync("mkfifo", ["-m", "600", pipe]);
    writeFileSync(join(world.folder, "ledger"), "");
    world.#ledger = fork(file("ledger.js"), [pipe, join(world.folder, "ledger")], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    await once(world.#ledger, "message");
    world.#pipe = openSync(pipe, constants.O_WRONLY);
    return world;
  }

  /**
   * Starts an application and resolves when it takes events.
   *
   * @param {Partial<typeof APP>} options
   * @param {{ url?: string, execArgv?: string[], env?: Record<string, string>, wrap?: string[], program?: string,
   *   stdout?: number }} how the database's URL (perhaps a proxy's), arguments of Node (perhaps a preload), a command
   *   that runs it (`["strace", "-f"]`), another program than app.js, and a descriptor for its standard output
   */
  async startApp(
    options = {},
    { url = this.database.writerUrl, execArgv = [], env = {}, wrap = [], program = "app.js", stdout = "ignore" } = {},
  ) {
    const life = `${this.#lives++}`;
    const merged = { ...APP, ...options, life, ledger: join(this.folder, "pipe") };
    merged.spool = options.spool === "memory" ? "memory" : { directory: this.spool, ...options.spool };
    const [command, ...before] = [...wrap, process.execPath];
    const child = fork(fileURLToPath(new URL(program, APPLICATIONS)), [], {
      execPath: command,
      execArgv: [...before, ...execArgv],
      env: { ...process.env, ...env, FAULT_APP: JSON.stringify(merged), SECLOG_DATABASE_URL: url },
      stdio: ["ignore", stdout, "pipe", "ipc"],
    });
    const app = new App(child, life, ({ stall }) => {
      this.stall = Math.max(this.stall, stall);
    });
    this.#apps.add(app);
    // It may be killed before its first event; callers that want that look at `ended`.
    const begun = Promise.race([once(child, "message"), app.exited]);
    await within(begun, START_MS, () => `the application took no events within ${START_MS} ms: ${app.errors}`);
    return app;
  }

  /**
   * Starts the program `seclog`.
   *
   * @param {string[]} args
   * @param {{ wrap?: string[], deadline?: number, url?: string }} how a command that runs it, the milliseconds after
   *   which it is killed, and the writer's URL (perhaps a proxy's)
   * @returns its process, with `exited` (its code or signal) and what it wrote to both streams
   */
  startProgram(args, { wrap = [], deadline = 120_000, url = this.database.writerUrl, env = {}, execArgv = [] } = {}) {
    const [command, ...before] = [...wrap, process.execPath];
    const child = spawn(command, [...before, ...execArgv, file("../packages/server/bin/seclog.js"), ...args], {
      env: {
        ...process.env,
        SECLOG_DATABASE_URL: url,
        SECLOG_READER_URL: this.database.readerUrl,
        SECLOG_SEALER_URL: this.database.sealerUrl,
        SECLOG_RELAY_URL: this.database.relayUrl,
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const late = setTimeout(() => child.kill("SIGKILL"), deadline);
    const program = {
      child,
      output: "",
      get ended() {
        return child.exitCode !== null || child.signalCode !== null;
      },
      /** Resolves when both streams have ended. */
      exited: once(child, "close").then(([code, signal]) => {
        clearTimeout(late);
        return signal ?? code;
      }),
      async kill() {
        child.kill("SIGKILL");
        return await program.exited;
      },
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text) => {
        program.output += text;
      });
    }
    this.#apps.add(program);
    return program;
  }

  /**
   * Ships everything that dead applications left, as `seclog ship` does.
   *
   * @returns {Promise<object>} the result of `drainSpool`
   */
  async drain({ url = this.database.writerUrl, deadline = 120_000, directory = this.spool } = {}) {
    const start = performance.now();
    const failures = [];
    if (!existsSync(directory)) return { sources: 0, finished: 0, owned: 0, shipped: 0, quarantined: 0, failures };
    if (statSync(directory).uid !== process.geteuid()) return await this.#shipAsOwner(directory, url);
    const result = await drainSpool({
      directory,
      handlers: [postgresHandler({ url })],
      signal: AbortSignal.timeout(deadline),
      onFailure: (failure) => failures.push(failure),
    });
    this.drained = Math.max(this.drained, performance.now() - start);
    return { ...result, failures };
  }

  /** Another user's spool may only be shipped with that user's rights, which the program takes when it runs as root. */
  async #shipAsOwner(directory, url) {
    const ship = this.startProgram(["ship", "--spool", directory, "--json"], { url });
    await ship.exited;
    return { ...JSON.parse(ship.output.slice(ship.output.indexOf("{"))), failures: [] };
  }

  /** The directories of sources left in the spool. */
  get sources() {
    return existsSync(this.spool) ? readdirSync(this.spool).filter((name) => /^[0-9a-f-]{36}$/.test(name)) : [];
  }

  /** Resolves when the ledger has read everything written so far. */
  async ledgerIsRead() {
    const word = `${++this.#marks}`;
    const read = new Promise((resolve) => {
      this.#ledger.on("message", function listen(message) {
        if (message !== word) return;
        this.off("message", listen);
        resolve();
      });
    });
    writeSync(this.#pipe, `end ${word}\n`);
    await read;
  }

  /** The keys whose acknowledgement the ledger has read. */
  async acknowledged() {
    await this.ledgerIsRead();
    const lines = readFileSync(join(this.folder, "ledger"), "latin1").split("\n");
    return lines.flatMap((line) => (line.startsWith("ack ") ? [line.split(" ")[1]] : []));
  }

  /** Runs SQL as the superuser in the world's database. */
  async query(text, values) {
    const client = new pg.Client({ connectionString: this.database.adminUrl });
    await client.connect();
    try {
      return (await client.query(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** Writes a line to the ledger, for a fault that makes calls itself. */
  write(line) {
    writeSync(this.#pipe, `${line}\n`);
  }

  /** The checker's verdict on everything that happened in this world; the options are {@link check}'s. */
  async check(options) {
    await this.ledgerIsRead();
    return await check(join(this.folder, "ledger"), this.database.adminUrl, options);
  }

  async end() {
    for (const app of this.#apps) if (!app.ended) await app.kill();
    closeSync(this.#pipe);
    const ended = once(this.#ledger, "exit");
    this.#ledger.disconnect();
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Creates a folder in the world. */
export function subfolder(world, name) {
  const folder = join(world.folder, name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}
