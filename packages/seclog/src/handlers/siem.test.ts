/** What is special to each handler for a SIEM. */
import { execFileSync, spawnSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { createSocket } from "node:dgram";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type HttpReceiver, type ReceiverAnswer, startReceiver } from "#test/support/http-receiver.ts";
import { S3_CREDENTIALS, s3Receiver, WEBHOOK_SECRET } from "#test/support/siem-receivers.ts";
import { root } from "../../../../scripts/files.js";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { elasticHandler } from "./elastic.ts";
import { lokiHandler } from "./loki.ts";
import { otlpHandler } from "./otlp.ts";
import { s3Handler } from "./s3.ts";
import { splunkHandler } from "./splunk.ts";
import { syslogHandler } from "./syslog.ts";
import { webhookHandler } from "./webhook.ts";

const NEVER = new AbortController().signal;
const JSON_TYPE = { "content-type": "application/json" };

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function receiving(answer?: () => ReceiverAnswer): Promise<HttpReceiver> {
  const receiver = await startReceiver(answer);
  open.push(receiver);
  return receiver;
}

function opened(handler: SecurityEventHandler): SecurityEventHandler {
  open.unshift(handler);
  return handler;
}

describe("otlpHandler()", () => {
  it("sends Protocol Buffers to /v1/logs by default", async () => {
    const receiver = await receiving();
    await opened(otlpHandler({ url: receiver.url })).handle(exampleBatch({ count: 3 }), NEVER);
    expect(receiver.requests[0]?.url.pathname).toBe("/v1/logs");
    expect(receiver.requests[0]?.headers["content-type"]).toBe("application/x-protobuf");
    if (spawnSync("protoc", ["--version"]).status !== 0) return console.log("SKIPPED: protoc is not installed");
    const decoded = execFileSync(
      "protoc",
      [
        "--decode=opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest",
        `--proto_path=${join(root, "test/fixtures/opentelemetry")}`,
        "opentelemetry/proto/collector/logs/v1/logs_service.proto",
      ],
      { input: receiver.requests[0]?.body },
    );
    expect(decoded.toString().match(/event_name: "authz_fail"/g)).toHaveLength(3);
  });

  it.each([
    ["JSON", { headers: JSON_TYPE, body: '{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}' }],
    // partial_success { rejected_log_records: 2, error_message: "too old" }
    ["Protocol Buffers", { body: Buffer.from("0a0b08021207746f6f206f6c64", "hex") }],
  ])("reads a partial success in %s as events that were refused", async (_form, answer) => {
    const receiver = await receiving(() => answer);
    const handled = opened(otlpHandler({ url: receiver.url })).handle(exampleBatch({ count: 3 }), NEVER);
    await expect(handled).rejects.toMatchObject({
      kind: "event",
      message: expect.stringMatching(/refused 2 of 3 log records: too old$/),
    });
  });

  it("does not mind an empty answer, or an empty partial success", async () => {
    for (const answer of [{}, { body: Buffer.from("0a00", "hex") }, { headers: JSON_TYPE, body: "{}" }]) {
      const receiver = await receiving(() => answer);
      await opened(otlpHandler({ url: receiver.url })).handle(exampleBatch({ count: 3 }), NEVER);
    }
  });
});

describe("webhookHandler()", () => {
  it("sends the same id and bytes again after a lost answer", async () => {
    const receiver = await receiving();
    receiver.next.push("reset");
    const handler = opened(webhookHandler({ url: receiver.url, secret: WEBHOOK_SECRET }));
    const batch = exampleBatch({ firstSeq: 5, count: 3 });
    await expect(handler.handle(batch, NEVER)).rejects.toMatchObject({ kind: "retry" });
    await handler.handle(batch, NEVER);
    const [first, second] = receiver.requests;
    expect(second?.headers["webhook-id"]).toBe(`msg_${batch.source.id}_5_7`);
    expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
    expect(second?.body.equals(first?.body ?? Buffer.alloc(0))).toBe(true);
  });

  it("stops after 410 until the process starts again", async () => {
    const receiver = await receiving();
    receiver.next.push({ status: 410 });
    const handler = opened(webhookHandler({ url: receiver.url, secret: WEBHOOK_SECRET }));
    for (let times = 0; times < 3; times++) {
      await expect(handler.handle(exampleBatch(), NEVER)).rejects.toMatchObject({
        kind: "destination",
        message: expect.stringContaining("410"),
      });
    }
    expect(receiver.requests).toHaveLength(1);
  });

  it("signs with Ed25519 too, beside the secret that it replaces", async () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32);
    const receiver = await receiving();
    const secret = `${WEBHOOK_SECRET} whsk_${seed.toString("base64")}`;
    await opened(webhookHandler({ url: receiver.url, secret, format: "ocsf" })).handle(exampleBatch(), NEVER);
    const { headers, body } = receiver.requests[0]!;
    const signatures = String(headers["webhook-signature"]).split(" ");
    expect(signatures.map((one) => one.split(",")[0])).toEqual(["v1", "v1a"]);
    const content = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body.toString()}`);
    const signature = Buffer.from(signatures[1]?.slice(4) ?? "", "base64");
    expect(verify(null, content, createPublicKey(privateKey), signature)).toBe(true);
    expect(JSON.parse(body.toString())).toMatchObject({ data: { events: [{ class_uid: 6003 }] } });
  });

  it("refuses a secret that is not one, without quoting it", () => {
    for (const secret of ["", "hunter22", "whsec_aGk=", "whsk_aGk=", `${WEBHOOK_SECRET} hunter22`]) {
      const make = () => webhookHandler({ url: "https://x.example", secret });
      expect(make).toThrow("webhookHandler: secret is not one of Standard Webhooks");
      expect(make).not.toThrow("hunter22");
    }
  });
});

describe("elasticHandler()", () => {
  const bulk = (...statuses: number[]): ReceiverAnswer => ({
    headers: JSON_TYPE,
    body: JSON.stringify({
      errors: true,
      items: statuses.map((status) => ({
        create: { status, error: { type: "mapper_parsing_exception", reason: "no" } },
      })),
    }),
  });

  it.each([
    [400, "event"],
    [429, "retry"],
    [503, "retry"],
    [403, "destination"],
  ])("says how far it came, and what the status %i of an item means: %s", async (status, kind) => {
    const receiver = await receiving(() => bulk(201, 409, status, 201));
    const handler = opened(elasticHandler({ url: receiver.url }));
    await expect(handler.handle(exampleBatch({ firstSeq: 11, count: 4 }), NEVER)).rejects.toMatchObject({
      kind,
      stored: 12,
      message: expect.stringContaining(`answered ${status} for event 13: mapper_parsing_exception no`),
    });
  });

  it("stops for an operator where something else answers", async () => {
    for (const body of ["<html>", "{}", '{"errors":true,"items":[]}']) {
      const receiver = await receiving(() => ({ body }));
      const handled = opened(elasticHandler({ url: receiver.url })).handle(exampleBatch(), NEVER);
      await expect(handled).rejects.toMatchObject({
        kind: "destination",
        message: expect.stringContaining("check the url"),
      });
    }
  });
});

describe("splunkHandler()", () => {
  const options = { token: "secret-token", acknowledgeTimeout: 1_000 };

  it.each([
    [403, 4, "destination"],
    [400, 7, "destination"],
    [400, 6, "event"],
    [503, 9, "retry"],
  ])("reads the status %i with the collector's code %i as %s", async (status, code, kind) => {
    const receiver = await receiving(() => ({ status, body: JSON.stringify({ text: "no secret-token", code }) }));
    const failure = await opened(splunkHandler({ url: receiver.url, ...options }))
      .handle(exampleBatch(), NEVER)
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind });
  });

  it("sends the events again when the indexers do not acknowledge in time", async () => {
    const receiver = await receiving(() => ({ body: '{"text":"Success","code":0,"ackId":0,"acks":{"0":false}}' }));
    const handled = opened(splunkHandler({ url: receiver.url, ...options })).handle(exampleBatch(), NEVER);
    await expect(handled).rejects.toMatchObject({ kind: "retry", message: expect.stringContaining("has not indexed") });
  });

  it("asks for acknowledgement, unless it is told not to", async () => {
    const receiver = await receiving(() => ({ body: '{"text":"Success","code":0}' }));
    const handled = opened(splunkHandler({ url: receiver.url, ...options })).handle(exampleBatch(), NEVER);
    await expect(handled).rejects.toThrow(/enable indexer acknowledgement for the token, or set acknowledge: false/);
    const other = opened(splunkHandler({ url: receiver.url, ...options, acknowledge: false }));
    await other.handle(exampleBatch(), NEVER);
    expect(receiver.requests.at(-1)?.headers).not.toHaveProperty("x-splunk-request-channel");
  });
});

describe("lokiHandler()", () => {
  it("makes a stream for each level and category, not for each value that a client chooses", async () => {
    const receiver = await receiving(() => ({ status: 204 }));
    await opened(lokiHandler({ url: receiver.url })).handle(exampleBatch({ count: 50 }), NEVER);
    const { streams } = JSON.parse(receiver.requests[0]?.body.toString() ?? "") as { streams: { stream: object }[] };
    expect(streams.map(({ stream }) => stream)).toEqual([
      { job: "seclog", service_name: "example", level: "critical", category: "authz" },
    ]);
    expect(() => lokiHandler({ url: receiver.url, labels: { "bad-name": "x" } })).toThrow("lokiHandler: labels");
  });
});

describe("s3Handler()", () => {
  it("has an object for each day, and replaces an object by itself", async () => {
    const receiver = await s3Receiver();
    open.push(receiver);
    const handler = opened(s3Handler({ bucket: "events", endpoint: receiver.url, interval: 0, ...S3_CREDENTIALS }));
    const day = (date: string, firstSeq: number) =>
      exampleBatch({ firstSeq, count: 2, event: { occurredAt: `${date}T23:59:59.000000Z` } });
    const [one, two] = [day("2026-11-22", 1), day("2026-11-23", 3)];
    const both = exampleBatch({ records: [...one.records, ...two.records] });
    await handler.handle(both, NEVER);
    await handler.handle(both, NEVER);
    const folder = `source=${both.source.id}`;
    expect([...receiver.objects.keys()].map((key) => decodeURIComponent(key))).toEqual([
      `/events/seclog/date=2026-11-22/${folder}/000000000001-000000000002.ndjson.gz`,
      `/events/seclog/date=2026-11-23/${folder}/000000000003-000000000004.ndjson.gz`,
    ]);
  });

  it("stops for an operator with another key, and quotes none", async () => {
    const receiver = await s3Receiver();
    open.push(receiver);
    const wrong = { ...S3_CREDENTIALS, secretAccessKey: "another-secret-key" };
    const handler = opened(s3Handler({ bucket: "events", endpoint: receiver.url, ...wrong }));
    const failure = await handler.handle(exampleBatch(), NEVER).catch((error: Error) => error);
    expect(failure).toMatchObject({ kind: "destination", message: expect.stringContaining("SignatureDoesNotMatch") });
    expect(String(failure)).not.toContain("another-secret-key");
  });

  it("lets events gather between two objects of a source", async () => {
    const receiver = await s3Receiver();
    open.push(receiver);
    const handler = opened(s3Handler({ bucket: "events", endpoint: receiver.url, interval: 300, ...S3_CREDENTIALS }));
    const start = performance.now();
    await handler.handle(exampleBatch({ count: 1 }), NEVER);
    await handler.handle(exampleBatch({ firstSeq: 2, count: 1 }), NEVER);
    expect(performance.now() - start).toBeGreaterThan(290);
  });
});

describe("syslogHandler()", () => {
  it("sends each event as a datagram of UDP, cut where a character begins", async () => {
    const socket = createSocket("udp4");
    open.push({ close: () => socket.close() });
    const received: Buffer[] = [];
    socket.on("message", (message) => received.push(message));
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    const { port } = socket.address();
    const options = { url: `syslog+udp://127.0.0.1:${port}`, body: "line", maxBytes: 600 } as const;
    const batch = exampleBatch({ count: 3, event: { path: `/${"日".repeat(500)}` } });
    await opened(syslogHandler(options)).handle(batch, NEVER);
    await expect.poll(() => received.length).toBe(3);
    for (const message of received) {
      expect(message.length).toBeLessThanOrEqual(600);
      expect(message.length).toBeGreaterThan(596);
      expect(message.toString()).not.toContain("\ufffd");
    }
  });

  it.each([
    ["http://x", "syslogHandler: url must be syslog+tls://HOST:PORT"],
    ["syslog+tls://x", "syslogHandler: framing must be octet-counting with TLS"],
  ])("refuses %s with newline framing", (url, message) => {
    expect(() => syslogHandler({ url, framing: "newline" })).toThrow(message);
  });
});

describe("a handler for a SIEM", () => {
  it("refuses an option that does not exist, and a url that is not one", () => {
    expect(() => otlpHandler({ endpoint: "x" } as object)).toThrow("otlpHandler: endpoint does not exist");
    expect(() => elasticHandler({ url: "x", index: "Upper" })).toThrow("elasticHandler: url must be");
    expect(() => elasticHandler({ url: "http://x", index: "../_all" })).toThrow("elasticHandler: index");
    expect(() => s3Handler({ bucket: "Bad_Bucket", ...S3_CREDENTIALS })).toThrow("s3Handler: bucket");
  });
});
