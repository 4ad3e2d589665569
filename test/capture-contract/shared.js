/** What the applications of the capture contract share, beside their framework. */
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CONTRACT } from "seclog/testing";
import { Webhook } from "standardwebhooks";
import { Stripe } from "stripe";
import * as z from "zod";

export const stripe = new Stripe("sk_test_none").webhooks;
export const webhook = new Webhook(CONTRACT.webhookSecret);
export const Person = z.object({ email: z.email(), age: z.number() });

/** Whether the login is the right one. */
export function accepts({ username, password }) {
  return username === CONTRACT.username && password === CONTRACT.password;
}

/** The user that the proxy's authentication names, as `request.user` holds it. */
export function userOf(headers) {
  const id = headers["x-user"];
  return id === undefined ? undefined : { id };
}

/** Calls back when the client is gone: the answer to a slow request comes too late. */
export function whenGone(request, response, answer) {
  if (request.destroyed && response.destroyed) setImmediate(answer);
  else response.once("close", answer);
}

/** Refuses every upgrade, as an application does that checks the session of a WebSocket itself. */
export function refuseUpgrades(server) {
  server.on("upgrade", (request, socket) => {
    const status = request.headers.origin === undefined ? "401 Unauthorized" : "403 Forbidden";
    setImmediate(() => socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`));
  });
}

/** A folder with one public file, for the libraries that serve such folders. */
export function publicFolder() {
  const folder = mkdtempSync(join(tmpdir(), "seclog-contract-"));
  writeFileSync(join(folder, "page.txt"), "page");
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Listens on a free port of 127.0.0.1. */
export async function serve(server, cleanUp = () => {}) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port, close: () => closed(server, cleanUp) };
}

async function closed(server, cleanUp) {
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections?.();
  });
  cleanUp();
}
