/** The program as a function: parses arguments, runs the command that they name, and prints what went wrong. */

import { readFileSync } from "node:fs";
import { suggestions } from "@seclog/api";
import { Command, CommanderError } from "commander";
import { errorMessage, SeclogError, visibleText } from "seclog";
import { refuseSecretArguments } from "../config/environment.ts";
import { commandLine } from "../config/program.ts";
import { Interrupted } from "../terminal/interruption.ts";
import { wrapped } from "../terminal/line-width.ts";
import { OutputClosed, OutputFailed, print } from "../terminal/print.ts";
import { styled } from "../terminal/style.ts";
import { InputError } from "../text/input-error.ts";
import { COMMANDS } from "./commands.ts";
import { Exit, exitCodeOf } from "./exit.ts";
import { Unfinished } from "./unfinished.ts";

const HELP = `
Environment (each also with _FILE appended: the name of a file that holds it):
  SECLOG_ADMIN_URL      a role that may create databases and roles: setup,
                        doctor, erase, prune, hold, retention, rollup
  SECLOG_DATABASE_URL   the writer, as applications use it: setup, doctor, ship,
                        export
  SECLOG_READER_URL     the reader: setup, doctor, tail, query, export, stats,
                        count, top, start, verify, prove, tiles
  SECLOG_SEALER_URL     the sealer: setup, doctor, seal, keys rotate
  SECLOG_RELAY_URL      the relay, which stores a queue's events: setup, doctor,
                        work
  SECLOG_CONSOLE_URL    the role that keeps the console's users: setup, doctor,
                        start, users
  SECLOG_QUEUE_URL      the queue: work; SECLOG_QUEUE_KEY, its senders' key
  SECLOG_API_TOKEN      what requests to start must send
  SECLOG_WEBHOOK_SECRET signs checkpoints for webhooks: seal --webhook
  SECLOG_SEAL_KEY       the log's private key: seal, keys rotate
  NO_COLOR              turns colours off, even on a terminal
  SECLOG_DEBUG          prints the stack of an error as well
Put passwords here, never in arguments: every user on the machine can read
those.

Exit codes:
  0    done, and nothing is wrong; also when tail, top, seal, start, tiles or
       witness was stopped, or the reader of the output had read enough
  1    done, and the answer is no: doctor, verify, verify-proof or seal found a
       problem, an event is not in the log, prune kept a month that it should
       have dropped, ship set an event aside
  2    wrong input: an option, a URL, a key or a folder
  3    not finished, so there is no answer: the database, a file or the output
       failed
  130  interrupted (Ctrl-C); 143 and 129 for SIGTERM and SIGHUP`;

/**
 * The program with all commands listed, of which the one that the arguments name is loaded.
 *
 * @param help receives the help, or the version, instead of printing it
 */
async function createProgram(args: readonly string[], help: string[]): Promise<Command> {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const program = new Command("seclog")
    .description("Operates a Seclog security event log.")
    .version(version, "--version", "print the version")
    .helpOption("-h, --help", "print this help, or a command's")
    .helpCommand("help [command]", "print this help, or a command's")
    .addHelpText("after", HELP)
    .configureHelp({ helpWidth: Math.min(process.stdout.columns || 80, 100), sortSubcommands: false })
    .showSuggestionAfterError()
    .exitOverride()
    // Help and errors are printed in one place, below.
    .configureOutput({
      writeOut: (text) => help.push(text),
      writeErr: (text) => help.push(text),
      outputError: () => {},
    });
  const named = namedCommand(args);
  for (const { name, arguments: required = "", summary, load } of COMMANDS) {
    const command = program.command(`${name} ${required}`, { hidden: summary === undefined });
    if (summary !== undefined) command.description(summary);
    if (name === named) (await load())(command);
  }
  return program;
}

/** The command that the arguments name, whether to run it or for its help. */
function namedCommand(args: readonly string[]): string | undefined {
  const [first, second] = args.filter((argument) => !argument.startsWith("-"));
  return first === "help" ? second : first;
}

/** Refuses help for an unknown command: commander would print the help of the whole program. */
function refuseUnknownHelp(args: readonly string[]): void {
  const asked = namedCommand(args);
  const asksHelp =
    args.includes("--help") || args.includes("-h") || args.find((arg) => !arg.startsWith("-")) === "help";
  const names = COMMANDS.map(({ name }) => name);
  if (!asksHelp || asked === undefined || asked === "help" || names.includes(asked)) return;
  const [like] = suggestions(asked, names, 1);
  const advice = like === undefined ? `${commandLine("--help")} lists them` : `did you mean ${like}?`;
  throw new SeclogError("SECLOG_CONFIG", `unknown command ${JSON.stringify(asked.slice(0, 60))}: ${advice}`);
}

/**
 * Runs the command that the arguments name.
 *
 * @returns the exit code if the program has to end at once, since a query may be abandoned; `undefined` if the command
 * has finished
 */
export async function run(args: readonly string[]): Promise<number | undefined> {
  const help: string[] = [];
  try {
    refuseSecretArguments(args);
    refuseUnknownHelp(args);
    const program = await createProgram(args, help);
    if (args.length === 0) program.help({ error: true });
    await program.parseAsync(args, { from: "user" });
    return undefined;
  } catch (error) {
    try {
      if (!(error instanceof CommanderError) || error.exitCode !== 0) return report(error, args, help.join(""));
      await print(help.join(""));
      return 0;
    } catch (failed) {
      return report(failed, args);
    }
  }
}

/** Prints what went wrong and returns the exit code. */
function report(error: unknown, args: readonly string[], help = ""): number {
  if (error instanceof OutputClosed) return 0;
  if (error instanceof Interrupted || error instanceof Exit) return error.exitCode;
  if (error instanceof CommanderError) {
    // An incomplete command line is answered with the help.
    if (error.code === "commander.help") process.stderr.write(help);
    else complain(usageText(error, args), "SECLOG_CONFIG");
    return 2;
  }
  if (error instanceof Unfinished) {
    complain(error.message, error.cause instanceof SeclogError ? error.cause.code : undefined);
    debug(error);
    return 3;
  }
  if (error instanceof SeclogError) {
    complain(error instanceof InputError ? error.worded(optionName) : error.message, error.code);
    debug(error);
    return exitCodeOf(error);
  }
  if (error instanceof OutputFailed) {
    complain(error.message);
    return 3;
  }
  complain(errorMessage(error));
  if (process.env["SECLOG_DEBUG"]) debug(error);
  else process.stderr.write("This is a bug in seclog; SECLOG_DEBUG=1 prints where it happened.\n");
  return 3;
}

/** Names that were given up before 1.0, for those whose scripts still have them. */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ["serve", "tiles"],
  ["--memory", "--state"],
  ["--append", "--checkpoint-file"],
]);

/** An error of commander, with the next step. */
function usageText({ message }: CommanderError, args: readonly string[]): string {
  const text = message.replace(/^error: /, "").replace(/\.$/, "");
  const [, unknown = ""] = /^unknown (?:command|option) '([^'=]+)/.exec(text) ?? [];
  const renamed = RENAMED.get(unknown);
  if (renamed !== undefined) return `${text}: it is ${renamed} now`;
  // Commander suggests a name that is spelled like it, or none.
  const [command, inner] = args.filter((argument) => !argument.startsWith("-"));
  const isKnown = COMMANDS.some(({ name }) => name === command);
  const names = [isKnown ? command : undefined, command === "keys" && unknown !== inner ? inner : undefined];
  const asked = names.filter((name) => name !== undefined).join(" ");
  return `${text}; ${commandLine(asked === "" ? "--help" : `${asked} --help`)} lists what there is`;
}

/** How the command line writes an input of a room: `keyCommand` is `--key-command`. */
function optionName(input: string): string {
  return `--${input.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function complain(message: string, code?: string): void {
  // The message may quote the database or an untrusted file.
  const text = visibleText(message.replaceAll("\n", " ")) + (code === undefined ? "" : ` [${code}]`);
  const shown = process.stderr.isTTY ? wrapped(text, "        ") : text;
  process.stderr.write(`${styled("seclog:", "red", process.stderr)} ${shown}\n`);
}

function debug(error: unknown): void {
  if (process.env["SECLOG_DEBUG"] && error instanceof Error) process.stderr.write(`${error.stack}\n${causes(error)}`);
}

function causes(error: Error): string {
  return error.cause instanceof Error ? `caused by ${error.cause.stack}\n${causes(error.cause)}` : "";
}
