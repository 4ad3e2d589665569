import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { formatPrivateKey, openNote, parsePrivateKey } from "seclog/merkle";
import { hmacVerifier } from "seclog/webhooks";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { closeServer, listen } from "#test/support/http-client.ts";
import { MemoryTree, seed } from "#test/support/sealed-tree.ts";
import type { PublishContext } from "./publisher.ts";
import { webhookPublisher } from "./webhook.ts";

interface Received {
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

const secret = `whsec_${randomBytes(32).toString("base64")}`;
const signer = parsePrivateKey(formatPrivateKey("log.example/shop", seed()));
const tree = new MemoryTree(7);
const context: PublishContext = { tiles: tree.tiles, newestSize: async () => 7, cosign: async () => {} };
const received: Received[] = [];
let status = 200;
let server: Server;
let port: number;

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => {
      body += chunk;
    });
    request.on("end", () => {
      received.push({ headers: request.headers, body });
      if (status === 0) return;
      response.writeHead(status, { location: `http://127.0.0.1:${port}/elsewhere` });
      response.end(status === 200 ? "x".repeat(request.url === "/long" ? 100_000 : 0) : "not today\u001b[31m");
    });
  });
  port = await listen(server);
});
afterAll(() => closeServer(server));
beforeEach(() => {
  received.length = 0;
  status = 200;
});

const publish = async (path = "/hook", timeout = 10_000, publisher = webhookPublisher(addressOf(path), secret)) =>
  await publisher.publish(tree.checkpoint(signer), context, AbortSignal.timeout(timeout));
const addressOf = (path: string): string => `http://127.0.0.1:${port}${path}`;

describe("webhookPublisher()", () => {
  it("posts the checkpoint with a signature that this library's verifier accepts", async () => {
    await publish();
    const [{ headers, body } = { headers: {}, body: "" }] = received;
    const message = JSON.parse(body);
    expect(message).toEqual({
      type: "seclog.checkpoint",
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      data: {
        origin: "log.example/shop",
        size: 7,
        root: Buffer.from(tree.root()).toString("base64"),
        checkpoint: tree.checkpoint(signer).note,
      },
    });
    openNote(message.data.checkpoint, [signer]);
    expect(headers["content-type"]).toBe("application/json");
    // The header is `v1,<Base64>`, which the verifier reads as two signatures, the version being an invalid one.
    const verify = hmacVerifier({
      secret: Buffer.from(secret.slice("whsec_".length), "base64"),
      header: "webhook-signature",
      encoding: "base64",
      timestamp: { header: "webhook-timestamp", signed: (time) => `${headers["webhook-id"]}.${time}.` },
    });
    expect(headers["webhook-signature"]).toMatch(/^v1,[A-Za-z0-9+/]{43}=$/);
    verify(body, headers);
    expect(() => verify(body.replace('"size":7', '"size":8'), headers)).toThrow("does not verify");
    expect(() =>
      verify(body, { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) }),
    ).toThrow("does not verify");
  });

  it("retries with the same message, and keeps its id across a restart", async () => {
    let now = Date.now();
    const publisher = webhookPublisher(addressOf("/hook"), secret, () => (now += 5_000));
    status = 503;
    await expect(publish("", 10_000, publisher)).rejects.toThrow('it responded with 503: "not today\\u001b[31m"');
    status = 204;
    await publish("", 10_000, publisher);
    await publish();
    const ids = received.map(({ headers }) => headers["webhook-id"]);
    expect(new Set(ids).size).toBe(1);
    expect(received[1]?.body).toBe(received[0]?.body);
    expect(received[1]?.headers["webhook-timestamp"]).not.toBe(received[0]?.headers["webhook-timestamp"]);
  });

  it.each([301, 307, 400, 401, 500])("treats %d as a failure, and follows no redirect", async (code) => {
    status = code;
    await expect(publish()).rejects.toMatchObject({
      code: "SECLOG_PUBLISH",
      message: expect.stringContaining(`${code}`),
    });
    expect(received).toHaveLength(1);
  });

  it("stops on its signal, and does not read an endless response", async () => {
    await expect(publish("/long")).rejects.toThrow("the response has more than 65536 bytes");
    status = 0;
    await expect(publish("/hook", 200)).rejects.toThrow();
  });

  it.each([
    ["http://example.com/hook", "is neither https nor this machine"],
    ["http://127.0.0.1.example.com/hook", "is neither https nor this machine"],
    ["ftp://127.0.0.1/hook", "must be an https"],
    ["https://key@example.com/hook", "contains a user"],
    ["nonsense", "must be an https"],
  ])("refuses %s", (address, why) => {
    expect(() => webhookPublisher(address, secret)).toThrow(why);
  });

  it.each(["", "whsec_", "whsec_c2hvcnQ=", randomBytes(32).toString("base64"), `whsec_${"A".repeat(200)}`])(
    "refuses an invalid secret, and does not quote it",
    (bad) => {
      expect(() => webhookPublisher("https://example.com/path-with-secret", bad)).toThrow(
        /^SECLOG_WEBHOOK_SECRET is not a Standard Webhooks secret: whsec_ and the Base64 of 24 to 64 random bytes$/,
      );
    },
  );

  it("has a name with the origin, but not the path", () => {
    expect(webhookPublisher("https://example.com/T0/secret?token=x", secret).name).toBe("webhook https://example.com");
  });
});
