/** The console, mounted into a server of the demo's own. Its sign-in is the link that the demo prints. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { securityConsole } from "@seclog/server/console";
import { createSecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";

/** The console's usual port; any other if it is in use. */
const PORT = 7300;
const COOKIE = "seclog_demo";

/** The running console. */
export interface DemoConsole {
  /** Signs in the person at this terminal, who alone sees it. */
  readonly link: string;
  stop(): Promise<void>;
}

/** What the console reads and checks with, and where it records that somebody exported. */
export interface DemoConsoleOptions {
  readonly reader: string;
  readonly writer: string;
  readonly vkey: string;
}

/** Starts it. */
export async function startConsole({ reader, writer, vkey }: DemoConsoleOptions): Promise<DemoConsole> {
  const key = randomBytes(24).toString("base64url");
  const log = createSecurityLog({
    service: "console",
    spool: "memory",
    heartbeat: false,
    handlers: [postgresHandler({ url: writer })],
  });
  const mounted = securityConsole({
    databaseUrl: reader,
    vkeys: [vkey],
    log,
    authorize(request) {
      const given = new RegExp(`(?:^|; )${COOKIE}=([\\w-]+)`).exec(request.headers.get("cookie") ?? "")?.[1] ?? "";
      if (isSame(given, key)) return { name: "you", role: "admin" };
      return new Response("Open the link that the demo has printed in the terminal.\n", { status: 401 });
    },
  });
  const server = createServer((request, response) => {
    if (request.url === `/enter/${key}`) enter(request, response, key);
    else mounted.handler(request, response);
  });
  const port = await listen(server);
  return {
    link: `http://127.0.0.1:${port}/enter/${key}`,
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
      await mounted.close();
      await log.close();
    },
  };
}

/** The browser keeps the key in a cookie that no script reads and no other site sends. */
function enter(_request: IncomingMessage, response: ServerResponse, key: string): void {
  response.writeHead(303, {
    "set-cookie": `${COOKIE}=${key}; HttpOnly; SameSite=Strict; Path=/`,
    location: "/",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
  });
  response.end();
}

/** In a time that says nothing about the key. */
function isSame(given: string, key: string): boolean {
  const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(key));
}

async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  for (const port of [PORT, 0]) {
    server.listen(port, "127.0.0.1");
    const listens = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (listens) break;
  }
  return (server.address() as AddressInfo).port;
}
