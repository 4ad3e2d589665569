import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { readKeys } from "@seclog/verify/program";
import type { Command } from "commander";
import { errorMessage, SeclogError } from "seclog";
import { type Access, tokenAccess } from "../../api/access.ts";
import { LinkSignIn } from "../../api/link-sign-in.ts";
import { serveApi } from "../../api/serve.ts";
import { UserAccess } from "../../api/user-access.ts";
import { apiToken, connectionUrl, requireUrl } from "../../config/environment.ts";
import { commandLine } from "../../config/program.ts";
import { builtSite, withPages } from "../../console/with-pages.ts";
import { recordExport } from "../../search/export/record-export.ts";
import { interruption, unlessInterrupted, untilInterrupted } from "../../terminal/interruption.ts";
import { occasionalNotice } from "../../terminal/occasional-notice.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { quoted } from "../../text/words.ts";
import { ConsoleUsers } from "../../users/console-users.ts";
import { userEvents } from "../../users/user-events.ts";
import { Exit } from "../exit.ts";
import { collect } from "../options/collect.ts";
import { addConnectionOptions, type ConnectionOptions, connectionLimits, parseListen } from "../options/listen.ts";
import { asConfig } from "../options/verifier.ts";

/** How long storing the last events may take, in milliseconds. */
const GOODBYE_MS = 5_000;

interface StartOptions extends ConnectionOptions {
  readonly listen: string;
  readonly publicUrl?: string;
  readonly vkey?: readonly string[];
  readonly json?: true;
}

/** `seclog start`. */
export function addStart(command: Command): void {
  command
    .option(
      "--listen <host:port>",
      "the address to listen on: of this machine, unless there is --public-url",
      "127.0.0.1:7300",
    )
    .option("--public-url <url>", "where browsers have it, behind a proxy with TLS: https://console.example.com");
  addConnectionOptions(command)
    .option("--vkey <key>", "the log's public key, to verify with; repeat for each later key, in order", collect)
    .option("--json", "one JSON document")
    .action(start);
}

async function start(options: StartOptions): Promise<void> {
  const listen = parseListen(options.listen);
  const connections = connectionLimits(options);
  const url = requireUrl("reader");
  const given = apiToken();
  const token = given ?? randomBytes(32).toString("base64url");
  const keys = options.vkey === undefined ? [] : asConfig(() => readKeys(options.vkey ?? []));
  const writerUrl = connectionUrl("writer");
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const signal = interruption();
  const say = occasionalNotice();
  const onError = (error: unknown): void => say(errorMessage(error));
  const entrance = await openEntrance({ token, writerUrl, publicUrl: publicUrlOf(options.publicUrl), say });
  const { access } = entrance;
  const site = builtSite();
  try {
    const service = await unlessInterrupted(
      signal,
      serveApi({
        url,
        listen,
        connections,
        access,
        version,
        keys,
        onExport: writerUrl === undefined ? undefined : (record) => recordExport(writerUrl, record),
        onError,
        around: (api) => {
          const pages = withPages(site, "/", api);
          return (request, environment) => entrance.enter(request) ?? pages(request, environment);
        },
      }),
    );
    try {
      const at = (options.publicUrl ?? service.url).replace(/\/$/, "");
      const link = await entrance.link(at);
      if (options.json)
        await print(jsonLine({ listening: service.url, link, ...(given === undefined ? { token } : {}) }));
      else {
        await print(`${link}\n`);
        if (given === undefined) notice(`Authorization: Bearer ${token} (SECLOG_API_TOKEN keeps one over restarts)`);
      }
      await untilInterrupted(signal);
    } finally {
      // A query that the database does not answer must not keep the process running.
      const closing = service.close();
      if (signal.aborted) closing.catch(() => {});
      else await closing;
    }
  } finally {
    // Who signed in last is stored before the program ends, if the database answers.
    await Promise.race([entrance.close(), sleep(GOODBYE_MS, undefined, { ref: false })]);
  }
  throw new Exit(0);
}

/** How people get in. */
interface Entrance {
  readonly access: Access;
  /** The response to a link of the terminal. */
  enter(request: Request): Response | undefined;
  /** What to open, at the address where browsers have the console. */
  link(at: string): Promise<string>;
  close(): Promise<void>;
}

interface EntranceOptions {
  readonly token: string;
  readonly writerUrl: string | undefined;
  readonly publicUrl: URL | undefined;
  readonly say: (text: string) => void;
}

/** With the console's URL, users of its own; without, the person at the terminal. */
async function openEntrance({ token, writerUrl, publicUrl, say }: EntranceOptions): Promise<Entrance> {
  const programs = tokenAccess(token);
  const consoleUrl = connectionUrl("console");
  if (consoleUrl === undefined) {
    if (publicUrl !== undefined)
      throw new SeclogError(
        "SECLOG_CONFIG",
        "--public-url needs users: set SECLOG_CONSOLE_URL, run seclog setup, and make one with seclog users add",
      );
    let listening = "";
    const access = new LinkSignIn({
      visitor: { name: userName(), role: "admin" },
      programs,
      onUsed: (path) => notice(`Somebody opened the link. For another browser: ${listening}${path}`),
    });
    return {
      access,
      enter: (request) => access.enter(request),
      link: async (at) => {
        listening = at;
        return `${at}${access.path}`;
      },
      close: async () => {},
    };
  }
  const users = new ConsoleUsers({ url: consoleUrl });
  const events = writerUrl === undefined ? undefined : userEvents(writerUrl, say);
  if (events === undefined)
    notice("Sign-ins leave no event in the log: set SECLOG_DATABASE_URL, the writer's, to record them.");
  const close = async (): Promise<void> => {
    await events?.close();
    await users.close();
  };
  try {
    if (publicUrl !== undefined && !(await users.hasUsers()))
      throw new SeclogError(
        "SECLOG_CONFIG",
        `--public-url needs a user, or the first who comes would make one: ${commandLine("users")} add NAME --role admin`,
      );
    await users.hasUsers();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    access: new UserAccess({ users, programs, publicUrl, record: events?.record ?? (() => {}) }),
    enter: () => undefined,
    link: async (at) => {
      const code = await users.setupCode();
      return code === undefined ? `${at}/` : `${at}/setup#${code}`;
    },
    close,
  };
}

/** @throws SeclogError for anything but `https://name` */
function publicUrlOf(text: string | undefined): URL | undefined {
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" && url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "")
    return url;
  throw new SeclogError(
    "SECLOG_CONFIG",
    `--public-url ${quoted(text)} is not an address with TLS and without a path: https://console.example.com`,
  );
}

/** Who started the program. A container's user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "operator";
  }
}
