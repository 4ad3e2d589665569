import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { readKeys } from "@seclog/verify/program";
import type { Command } from "commander";
import { errorMessage } from "seclog";
import { tokenAccess } from "../../api/access.ts";
import { LinkSignIn } from "../../api/link-sign-in.ts";
import { serveApi } from "../../api/serve.ts";
import { apiToken, connectionUrl, requireUrl } from "../../config/environment.ts";
import { builtSite, withPages } from "../../console/with-pages.ts";
import { recordExport } from "../../search/export/record-export.ts";
import { interruption, unlessInterrupted, untilInterrupted } from "../../terminal/interruption.ts";
import { occasionalNotice } from "../../terminal/occasional-notice.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { Exit } from "../exit.ts";
import { collect } from "../options/collect.ts";
import { addConnectionOptions, type ConnectionOptions, connectionLimits, parseListen } from "../options/listen.ts";
import { asConfig } from "../options/verifier.ts";

interface StartOptions extends ConnectionOptions {
  readonly listen: string;
  readonly vkey?: readonly string[];
  readonly json?: true;
}

/** `seclog start`. */
export function addStart(command: Command): void {
  command.option("--listen <host:port>", "the address to listen on: of this machine only", "127.0.0.1:7300");
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
  const site = builtSite();
  let listening = "";
  const access = new LinkSignIn({
    visitor: { name: userName(), role: "admin" },
    programs: tokenAccess(token),
    onUsed: (path) => notice(`Somebody opened the link. For another browser: ${listening}${path}`),
  });
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
        return (request, environment) => access.enter(request) ?? pages(request, environment);
      },
    }),
  );
  listening = service.url;
  try {
    if (options.json)
      await print(
        jsonLine({ listening, link: `${listening}${access.path}`, ...(given === undefined ? { token } : {}) }),
      );
    else {
      await print(`${listening}${access.path}\n`);
      if (given === undefined) notice(`Authorization: Bearer ${token} (SECLOG_API_TOKEN keeps one over restarts)`);
    }
    await untilInterrupted(signal);
  } finally {
    // A query that the database does not answer must not keep the process running.
    const closing = service.close();
    if (signal.aborted) closing.catch(() => {});
    else await closing;
  }
  throw new Exit(0);
}

/** Who started the program. A container's user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "operator";
  }
}
