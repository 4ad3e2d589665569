/** A built log on a real disk with its real thread, in a new folder for each test. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createSecurityLog,
  type Diagnostic,
  type SecurityEvent,
  type SecurityEventHandler,
  type SecurityLogOptions,
} from "seclog";
import { afterEach, beforeEach, expect } from "vitest";

/** The module that {@link threadHandler} names. */
export const HANDLER_MODULE: string = new URL("test-handler.js", import.meta.url).href;

export let folder: string;
/** The folder of the log's spool. */
export let spool: string;
/** The events that the handlers of {@link HANDLER_MODULE} received, one a line. */
export let out: string;
/** Their orders: see {@link HANDLER_MODULE}. */
export let control: string;
/** The log's diagnostics. */
export let diagnostics: Diagnostic[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-log-"));
  spool = join(folder, "spool");
  out = join(folder, "out.ndjson");
  control = join(folder, "control");
  diagnostics = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Lives in the shipper's thread; `handle` here is never called. */
export function threadHandler(name = "test"): SecurityEventHandler {
  return {
    name,
    handle: () => Promise.reject(new Error("called on the wrong thread")),
    close: () => Promise.resolve(),
    worker: { module: HANDLER_MODULE, options: { out, control, name } },
  };
}

export function open(options: Partial<SecurityLogOptions> = {}): ReturnType<typeof createSecurityLog> {
  return createSecurityLog({
    spool: { directory: spool },
    handlers: [threadHandler()],
    diagnostics: (diagnostic) => diagnostics.push(diagnostic),
    ...options,
  });
}

export function delivered(): SecurityEvent[] {
  if (!existsSync(out)) return [];
  return readFileSync(out, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as SecurityEvent);
}

export const types = (): string[] => delivered().map(({ type }) => type);

/** Keeps the events it receives. */
export function sink(got: SecurityEvent[]): SecurityEventHandler {
  return {
    name: "sink",
    handle: ({ events }) => Promise.resolve(void got.push(...events)),
    close: () => Promise.resolve(),
  };
}

export const poll = (check: () => unknown): ReturnType<typeof expect.poll> => expect.poll(check, { interval: 20 });

let scripts = 0;

/** A program in a file from which the repository's packages resolve. The file is removed when its block ends. */
export function temporaryScript(code: string): Disposable & { readonly path: string } {
  const path = join(import.meta.dirname, `script-${process.pid}-${++scripts}.tmp.mjs`);
  writeFileSync(path, code);
  return { path, [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

/**
 * The lines of a process of its own with a log: its output and its diagnostics. @param limit a Bash command before it
 */
export function lastWords(program: string, limit: string = ":"): string[] {
  using script = temporaryScript(
    `import { createSecurityLog } from "seclog";
     import { renameSync } from "node:fs";
     import { join } from "node:path";
     process.on("SIGXFSZ", () => {});
     setInterval(() => {}, 1_000);
     const spool = ${JSON.stringify(spool)};
     const log = createSecurityLog({
       spool: { directory: spool },
       diagnostics: ({ code, message }) => console.log(\`\${code}: \${message}\`),
       handlers: [{ name: "test", handle: async () => {}, close: async () => {} }],
     });
     ${program}`,
  );
  const { stdout } = spawnSync("bash", ["-c", `${limit}; exec "$0" "$1"`, process.execPath, script.path], {
    encoding: "utf8",
    timeout: 60_000,
  });
  return stdout.split("\n");
}
