/**
 * The handlers for SIEMs keep the promises of `ship/handler.ts`, or skip them with a reason. Their receivers are servers of
 * the tests, which check what the real ones' documentation demands.
 */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, it } from "vitest";
import {
  elasticReceiver,
  lokiReceiver,
  otlpReceiver,
  S3_CREDENTIALS,
  type SiemReceiver,
  s3Receiver,
  splunkReceiver,
  WEBHOOK_SECRET,
  webhookReceiver,
} from "#test/support/siem-receivers.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { type HandlerContractOptions, type HandlerFixture, handlerContract } from "../testing/handler-contract.ts";
import { elasticHandler } from "./elastic.ts";
import { lokiHandler } from "./loki.ts";
import { otlpHandler } from "./otlp.ts";
import { s3Handler } from "./s3.ts";
import { splunkHandler } from "./splunk.ts";
import { syslogHandler } from "./syslog.ts";
import { webhookHandler } from "./webhook.ts";

function over(
  start: () => Promise<SiemReceiver>,
  create: (url: string) => SecurityEventHandler,
): () => Promise<HandlerFixture> {
  return async () => {
    const receiver = await start();
    return {
      create: () => create(receiver.url),
      async storedSeqs(sourceId) {
        return [...receiver.kept.values()].filter(({ source }) => source === sourceId).map(({ seq }) => seq);
      },
      dispose: () => receiver.close(),
    };
  };
}

/** A receiver of RFC 6587's octet counting, which closes its side after the sender's end. */
async function syslogs(): Promise<HandlerFixture> {
  const kept = new Map<string, { source: string; seq: number }>();
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: false }, (socket) => {
    sockets.add(socket);
    let text = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      text = Buffer.concat([text, chunk]);
      for (;;) {
        const [frame = "", length] = /^(\d+) /.exec(text.subarray(0, 12).toString("latin1")) ?? [];
        const end = frame.length + Number(length);
        if (length === undefined || text.length < end) return;
        const message = text.subarray(frame.length, end).toString();
        const [, id = "", source = "", seq] =
          / \[seclog@32473 id="([^"]+)" source="([^"]+)" seq="(\d+)"/.exec(message) ?? [];
        if (!kept.has(id)) kept.set(id, { source, seq: Number(seq) });
        text = text.subarray(end);
      }
    });
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    create: () => syslogHandler({ url: `syslog+tcp://127.0.0.1:${port}` }),
    async storedSeqs(sourceId) {
      return [...kept.values()].filter(({ source }) => source === sourceId).map(({ seq }) => seq);
    },
    async dispose() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const SKIP = {
  "refuses an older epoch": "the receiver knows no epochs: it removes repetitions by the event's id",
  "notices a destination that went back": "the receiver cannot say what it has",
  "continues past a quarantined record": "it leaves records that the receiver refuses to the spool's quarantine.ndjson",
} as const;

const handlers: { readonly [name: string]: () => Promise<HandlerFixture> } = {
  otlpHandler: over(otlpReceiver, (url) => otlpHandler({ url, encoding: "json" })),
  webhookHandler: over(webhookReceiver, (url) => webhookHandler({ url, secret: WEBHOOK_SECRET })),
  elasticHandler: over(elasticReceiver, (url) => elasticHandler({ url, apiKey: "a2V5a2V5" })),
  splunkHandler: over(splunkReceiver, (url) => splunkHandler({ url, token: "secret-token" })),
  lokiHandler: over(lokiReceiver, (url) => lokiHandler({ url, tenant: "team", labels: { cluster: "eu" } })),
  s3Handler: over(s3Receiver, (endpoint) => s3Handler({ bucket: "events", endpoint, interval: 0, ...S3_CREDENTIALS })),
  syslogHandler: syslogs,
};

describe.each(Object.entries(handlers))("%s - contract", (_name, open) => {
  const options: HandlerContractOptions = { open, skip: SKIP };
  for (const { title, skip, run } of handlerContract(options)) {
    if (skip === undefined) it(title, run);
  }
});
