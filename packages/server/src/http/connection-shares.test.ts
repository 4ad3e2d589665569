import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { shareOf } from "./connection-shares.ts";
import { type HttpService, type HttpServiceOptions, startHttpService, textResponse } from "./service.ts";

/** Linux has 16 million loopback addresses, two of which act as two clients. Other systems have only one. */
const onLinux = process.platform === "linux";
const ATTACKER = "127.0.0.1";
const OTHER = "127.0.0.2";

let service: HttpService | undefined;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await service?.close(0);
  service = undefined;
});

/** Starts a server whose time limits never strike unless a test sets them. */
async function serve(options: Partial<HttpServiceOptions> = {}): Promise<number> {
  service = await startHttpService({
    listen: { host: "0.0.0.0", port: 0 },
    respond: ({ body }) => textResponse(200, `read ${body.length}`),
    mostBytes: 1_000,
    headerTimeoutMs: 600_000,
    onError: () => {},
    ...options,
  });
  return Number(new URL(service.url).port);
}

async function open(port: number, count: number, text: string, localAddress = ATTACKER): Promise<Socket[]> {
  const opened = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect({ port, host: "127.0.0.1", localAddress });
      socket.on("error", () => {});
      socket.resume();
      sockets.push(socket);
      await once(socket, "connect");
      if (text !== "") socket.write(text);
      return socket;
    }),
  );
  return opened;
}

/** The status of a response, or the code of the failure. */
async function ask(port: number, localAddress = OTHER): Promise<number | string> {
  return await new Promise((done) => {
    const asked = request({ port, host: "127.0.0.1", localAddress, path: "/health", agent: false }, (response) => {
      response.resume();
      done(response.statusCode ?? 0);
    });
    asked.on("error", (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    asked.end();
  });
}

const closed = (list: readonly Socket[]): number => list.filter((socket) => socket.destroyed).length;

const WAITING: { readonly [what: string]: string } = {
  "that send nothing": "",
  "whose header never ends": "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
  "whose body never ends": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf",
  "that stay open after a response": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
};

describe.runIf(onLinux)("startHttpService(), with connections", () => {
  it.each(Object.entries(WAITING))("%s - lock out no other address, nor their own", async (_, text) => {
    const port = await serve({ connections: { total: 40, perAddress: 30 } });
    const attack = await open(port, 100, text);
    await expect.poll(() => closed(attack)).toBeGreaterThanOrEqual(70);
    expect(await ask(port)).toBe(200);
    expect(await ask(port, ATTACKER)).toBe(200);
    // Even while they keep reconnecting.
    for (let round = 0; round < 5; round++) {
      await open(port, 60, text);
      expect(await ask(port)).toBe(200);
    }
  });

  it("of many addresses - admits a newcomer, and closes one of the address that has the most", async () => {
    const port = await serve({ connections: { total: 40, perAddress: 30 } });
    const few = await open(port, 10, "", "127.0.0.3");
    const many = await open(port, 30, "", ATTACKER);
    for (let round = 0; round < 5; round++) expect(await ask(port)).toBe(200);
    await expect.poll(() => closed(many)).toBeGreaterThan(0);
    expect(closed(few)).toBe(0);
  });

  it("that wait for our response - are not closed for others", async () => {
    let respond = (): void => {};
    const waiting = new Promise<void>((done) => {
      respond = done;
    });
    let asked = 0;
    const port = await serve({
      connections: { total: 10, perAddress: 10 },
      respond: async ({ path }) => {
        asked += 1;
        if (path === "/slow") await waiting;
        return textResponse(200, path);
      },
    });
    const slow = await open(port, 5, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", OTHER);
    await expect.poll(() => asked).toBe(5);
    await open(port, 60, "");
    expect(await ask(port)).toBe(200);
    const responses = slow.map(async (socket) => String(await once(socket, "data")));
    respond();
    for (const text of await Promise.all(responses)) expect(text).toContain("200 OK");
  });

  it("that do not read their responses - lock out no other address", async () => {
    const port = await serve({
      connections: { total: 10, perAddress: 10 },
      respond: ({ path }) => ({ status: 200, body: Buffer.alloc(path === "/large" ? 16_000_000 : 1) }),
    });
    const greedy = await open(port, 10, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    for (const socket of greedy) socket.pause();
    expect(await ask(port)).toBe(200);
    expect(await ask(port)).toBe(200);
  });

  it("that send nothing - are closed at the header's time limit", async () => {
    const port = await serve({ headerTimeoutMs: 200 });
    const silent = [...(await open(port, 3, "")), ...(await open(port, 3, WAITING["whose body never ends"] ?? ""))];
    await expect.poll(() => closed(silent)).toBe(6);
  });
});

describe("shareOf()", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"],
    ["2001:db8:0:1::9", "2001:db8:0:1::/64"],
    ["2001:db8::1:0:0:9", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    [undefined, ""],
  ])("of %s is %s", (address, share) => {
    expect(shareOf(address)).toBe(share);
  });
});
