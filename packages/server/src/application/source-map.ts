/**
 * What an application's source refuses and changes without a security event: its routes, its refusals, and the catch
 * blocks that end an error. It reads the code and runs none of it, so it is a list to go through, not a proof.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { errorMessage, SeclogError } from "seclog";
import { quoted } from "../text/words.ts";
import { capturedStatus, refusalIn } from "./refusals.ts";
import { routesIn } from "./routes.ts";
import { calleeOf, lineCounter, literalOf, type Node, nameOf, nodesIn, parse, walk } from "./syntax.ts";

/** How an entry is recorded: by a call near it, by the capture that judges its status, or not at all. */
export type Recorded = "call" | "capture" | "nothing";

/** A place in the source. */
export interface MapEntry {
  /** From the directory, with slashes. */
  readonly file: string;
  readonly line: number;
  readonly kind: "route" | "refusal" | "catch";
  /** `POST /orders`, `403`, or what the catch block does with the error. */
  readonly what: string;
  readonly recorded: Recorded;
}

/** The map of an application. */
export interface SourceMap {
  /** The files that were read. */
  readonly files: number;
  /** Those that could not be parsed, and why they are not in the map. */
  readonly unread: readonly string[];
  /** Whether one of them installs a capture. */
  readonly captured: boolean;
  readonly entries: readonly MapEntry[];
}

/** The most files to read: beyond, the directory is not an application's source. */
const MOST_FILES = 20_000;

const SKIPPED = new Set(["node_modules", "dist", "build", "out", "coverage", "vendor"]);
const SOURCE = /\.[cm]?[jt]sx?$/;
const NOT_THE_APPLICATION = /\.(?:test|spec|stories)\.[cm]?[jt]sx?$|\.d\.[cm]?ts$|\.min\.js$/;

/** The functions that record, or make the log record, by their names. */
const RECORDING = new Set(["recordSecurityEvent", "recordLogin", "checkAccess", "verified"]);

/** The functions that install a capture. */
const CAPTURING = new Set([
  "securityCapture",
  "captureProcess",
  "forRoot",
  "forRootAsync",
  "register",
  "withSecurityLog",
  "useSecurityLog",
  "apolloSecurityLog",
  "trpcSecurityLog",
]);

/**
 * Maps the source below a directory.
 *
 * @throws SeclogError `SECLOG_CONFIG` if it cannot be read, or has more than 20,000 files
 */
export function mapApplication(directory: string): SourceMap {
  const paths = sourceFiles(directory);
  const unread: string[] = [];
  const found: (Omit<MapEntry, "recorded"> & { readonly called: boolean; readonly status: number | undefined })[] = [];
  let captured = false;
  for (const path of paths) {
    const file = relative(directory, path).split(sep).join("/");
    const source = readFileSync(path, "utf8");
    const program = parse(path, source);
    if (program === undefined) {
      unread.push(file);
      continue;
    }
    const lineOf = lineCounter(source);
    captured ||= installsCapture(program);
    for (const { node, handlers, what, changes } of routesIn(program, file)) {
      if (!changes) continue;
      const called = handlers.some((handler) => records(handler));
      found.push({ file, line: lineOf(node.start), kind: "route", what, called, status: undefined });
    }
    walk(program, (node, around) => {
      const status = refusalIn(node);
      if (status !== undefined) {
        const called = records(scopeOf(node, around));
        found.push({ file, line: lineOf(node.start), kind: "refusal", what: `${status}`, called, status });
      }
      const block = caught(node);
      if (block === undefined || passesOn(block)) return;
      const what = nodesIn(block["body"]).length === 0 ? "drops the error" : "ends the error";
      found.push({ file, line: lineOf(node.start), kind: "catch", what, called: records(block), status: undefined });
    });
  }
  const entries = found.map(({ called, status, ...entry }): MapEntry => {
    const seen = captured && status !== undefined && capturedStatus(status);
    return { ...entry, recorded: called ? "call" : seen ? "capture" : "nothing" };
  });
  return { files: paths.length, unread, captured, entries: entries.sort(byPlace) };
}

function byPlace(a: MapEntry, b: MapEntry): number {
  return a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1;
}

function sourceFiles(directory: string): string[] {
  const found: string[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !SKIPPED.has(entry.name) && !entry.name.startsWith(".")) visit(path);
      else if (entry.isFile() && SOURCE.test(entry.name) && !NOT_THE_APPLICATION.test(entry.name)) found.push(path);
      if (found.length > MOST_FILES) {
        throw new SeclogError(
          "SECLOG_CONFIG",
          `${quoted(directory)} has more than ${MOST_FILES} source files: name the application's folder`,
        );
      }
    }
  };
  try {
    if (!statSync(directory).isDirectory()) throw new Error("it is not a folder");
    visit(directory);
  } catch (error) {
    if (error instanceof SeclogError) throw error;
    throw new SeclogError("SECLOG_CONFIG", `${quoted(directory)} cannot be read: ${errorMessage(error)}`);
  }
  return found.sort();
}

/** Whether a file uses Seclog and installs a capture. */
function installsCapture(program: Node): boolean {
  let imports = false;
  let installs = false;
  walk(program, (node) => {
    if (node.type === "ImportDeclaration" || node.type === "ImportExpression") imports ||= isSeclog(node["source"]);
    if (node.type !== "CallExpression") return;
    const { name = "" } = calleeOf(node);
    const values = nodesIn(node["arguments"]);
    if (name === "require") imports ||= isSeclog(values[0]);
    // Fastify's: app.register(securityCapture, { log })
    installs ||= CAPTURING.has(name) || values.some((value) => nameOf(value) === "securityCapture");
  });
  return imports && installs;
}

function isSeclog(source: unknown): boolean {
  const name = literalOf(source);
  return typeof name === "string" && /^seclog(?:\/|$)/.test(name);
}

/** Whether code records a security event: by a call, or by Nest's decorator. */
function records(code: Node): boolean {
  let found = false;
  walk(code, (node) => {
    if (node.type === "CallExpression" && RECORDING.has(calleeOf(node).name ?? "")) found = true;
    if (node.type !== "Decorator") return;
    const call = node["expression"] as Node;
    if (call.type === "CallExpression" && calleeOf(call).name === "SecurityEvent") found = true;
  });
  return found;
}

const FUNCTIONS = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression", "MethodDefinition"]);

/** The block that decides: the branch or the function around a refusal, whichever is smaller. */
function scopeOf(node: Node, around: readonly Node[]): Node {
  const inner = around.findLast(({ type }) => FUNCTIONS.has(type) || type === "IfStatement" || type === "CatchClause");
  return inner ?? around[0] ?? node;
}

/** The body of a catch clause, or of the function that `.catch()` gets. */
function caught(node: Node): Node | undefined {
  if (node.type === "CatchClause") return node["body"] as Node;
  if (node.type !== "CallExpression" || calleeOf(node).name !== "catch") return undefined;
  const [handler] = nodesIn(node["arguments"]);
  return handler !== undefined && FUNCTIONS.has(handler.type) ? (handler["body"] as Node) : undefined;
}

/** Whether a catch block hands the error to somebody else: it throws, or passes it to `next` or `reject`. */
function passesOn(block: Node): boolean {
  let found = false;
  walk(block, (node) => {
    if (node.type === "ThrowStatement") found = true;
    if (node.type !== "CallExpression") return;
    const { name } = calleeOf(node);
    if ((name === "next" || name === "reject") && nodesIn(node["arguments"]).length > 0) found = true;
  });
  return found;
}
