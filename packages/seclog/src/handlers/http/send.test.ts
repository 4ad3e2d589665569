/** The sender of the handlers that speak HTTP, against servers that answer well, badly and not at all. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type HttpReceiver, startReceiver } from "#test/support/http-receiver.ts";
import { hasOpenssl, makeCertificates } from "#test/support/tls-postgres.ts";
import { type HttpHandlerOptions, httpSettings } from "./http-options.ts";
import { HttpSender } from "./send.ts";

const NEVER = new AbortController().signal;

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function started(
  options: Partial<HttpHandlerOptions> = {},
): Promise<{ receiver: HttpReceiver; sender: HttpSender }> {
  const receiver = await startReceiver();
  const sender = senderTo({ url: receiver.url, ...options });
  open.push(receiver);
  return { receiver, sender };
}

function senderTo(options: HttpHandlerOptions): HttpSender {
  const sender = new HttpSender(httpSettings("testHandler", options));
  open.unshift(sender);
  return sender;
}

describe("HttpSender", () => {
  it("compresses bodies of 1 KiB and more, unless it is told not to", async () => {
    const { receiver, sender } = await started();
    const long = "x".repeat(5_000);
    await sender.deliver({ body: "short" }, NEVER);
    await sender.deliver({ body: long }, NEVER);
    await sender.deliver({ body: long, gzip: false }, NEVER);
    expect(receiver.requests.map(({ headers }) => headers["content-encoding"])).toEqual([undefined, "gzip", undefined]);
    expect(receiver.requests.map(({ body }) => body.length)).toEqual([5, 5_000, 5_000]);
    expect(Number(receiver.requests[1]?.headers["content-length"])).toBeLessThan(200);
  });

  it("sends the URL's user as Basic credentials, and its own headers", async () => {
    const receiver = await startReceiver();
    open.push(receiver);
    const url = receiver.url.replace("//", "//us%40er:p%3Aw@");
    await senderTo({ url, headers: { "x-team": "red" } }).deliver({ body: "" }, NEVER);
    const { authorization, "x-team": team } = receiver.requests[0]?.headers ?? {};
    expect(Buffer.from((authorization ?? "").slice(6), "base64").toString()).toBe("us@er:p:w");
    expect(team).toBe("red");
  });

  it.each([
    [408, "retry"],
    [429, "retry"],
    [500, "retry"],
    [503, "retry"],
    [501, "destination"],
    [401, "destination"],
    [403, "destination"],
    [404, "destination"],
    [302, "destination"],
    [413, "event"],
    [400, "destination"],
  ])("takes the status %i of a server that never accepted anything as %s", async (status, kind) => {
    const { receiver, sender } = await started();
    receiver.next.push({ status, body: "no\u001b[2J" });
    const failure = sender.deliver({ body: "x" }, NEVER);
    await expect(failure).rejects.toMatchObject({
      kind,
      message: expect.stringContaining(`answered ${status}: no\\x1b[2J`),
    });
  });

  it("takes 400 as the event's fault where the server has accepted another", async () => {
    const { receiver, sender } = await started();
    await sender.deliver({ body: "x" }, NEVER);
    receiver.next.push({ status: 400 });
    await expect(sender.deliver({ body: "x" }, NEVER)).rejects.toMatchObject({ kind: "event" });
  });

  it("sends nothing before the time that a server asked to wait for has passed", async () => {
    const { receiver, sender } = await started();
    receiver.next.push({ status: 429, headers: { "retry-after": "1" } });
    await expect(sender.deliver({ body: "x" }, NEVER)).rejects.toMatchObject({ kind: "retry" });
    await expect(sender.deliver({ body: "x" }, NEVER)).rejects.toThrow(/asked to wait: 1 s are left/);
    expect(receiver.requests).toHaveLength(1);
    await expect
      .poll(() =>
        sender.deliver({ body: "x" }, NEVER).then(
          () => "sent",
          () => "waits",
        ),
      )
      .toBe("sent");
    const date = new Date(Date.now() + 60_000).toUTCString();
    receiver.next.push({ status: 503, headers: { "retry-after": date } });
    await expect(sender.deliver({ body: "x" }, NEVER)).rejects.toThrow();
    await expect(sender.deliver({ body: "x" }, NEVER)).rejects.toThrow(/asked to wait: (?:59|60) s/);
  });

  it("gives up after the timeout, when its signal aborts, and when the connection is cut", async () => {
    const { receiver, sender } = await started({ timeout: 200 });
    receiver.next.push("hang");
    await expect(sender.deliver({ body: "x" }, NEVER)).rejects.toThrow(/did not answer within 200 ms/);
    const { receiver: other, sender: patient } = await started();
    other.next.push("hang", "reset");
    const controller = new AbortController();
    const pending = patient.deliver({ body: "x" }, controller.signal);
    await expect.poll(() => other.requests.length).toBe(1);
    controller.abort();
    await expect(pending).rejects.toMatchObject({ kind: "retry", message: expect.stringContaining("was given up") });
    await expect(patient.deliver({ body: "x" }, NEVER)).rejects.toMatchObject({ kind: "retry" });
    await expect(patient.deliver({ body: "x" }, AbortSignal.abort())).rejects.toThrow(/given up before it began/);
  });

  it("names no secret: not the path, the credentials or a header, even if the server repeats them", async () => {
    const receiver = await startReceiver(({ headers, url }) => ({
      status: 401,
      body: `who is ${headers["authorization"]} with ${headers["x-key"]} at ${url.pathname}?`,
    }));
    open.push(receiver);
    const url = `${receiver.url.replace("//", "//user:hunter22@")}/services/T0SECRET`;
    const sender = senderTo({ url, headers: { "x-key": "k3y-value" } });
    const failure = await sender.deliver({ body: "x" }, NEVER).catch((error: Error) => error);
    const text = `${String(failure)} ${sender.place}`;
    expect(text).toContain("answered 401");
    for (const secret of ["hunter22", "T0SECRET", "k3y-value", Buffer.from("user:hunter22").toString("base64")]) {
      expect(text).not.toContain(secret);
    }
    expect(() => httpSettings("testHandler", { url: "ftp://user:hunter22@x/T0SECRET" })).toThrow(
      "testHandler: url must be an http:// or https:// URL",
    );
  });

  it("fails for now where nothing listens", async () => {
    const receiver = await startReceiver();
    await receiver.close();
    const failure = senderTo({ url: receiver.url }).deliver({ body: "x" }, NEVER);
    await expect(failure).rejects.toMatchObject({ kind: "retry", message: expect.stringContaining("ECONNREFUSED") });
  });

  it.skipIf(!hasOpenssl)(
    "trusts only the authorities that it is told, and stops for an operator otherwise",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "seclog-send-"));
      try {
        const made = makeCertificates(folder);
        const pem = (path: string) => readFileSync(path, "utf8");
        const { cert, key } = made.server("good");
        const ca = pem(made.authority);
        const receiver = await startReceiver(undefined, { cert: pem(cert), key: pem(key), ca, requestCert: true });
        open.push(receiver);
        await expect(senderTo({ url: receiver.url }).deliver({ body: "x" }, NEVER)).rejects.toMatchObject({
          kind: "destination",
          message: expect.stringContaining("tls.ca names the authorities to trust"),
        });
        const client = { cert: pem(made.client.cert), key: pem(made.client.key) };
        await senderTo({ url: receiver.url, tls: { ca, ...client } }).deliver({ body: "x" }, NEVER);
        expect(receiver.requests).toHaveLength(1);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});
