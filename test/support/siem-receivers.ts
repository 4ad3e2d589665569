/**
 * Receivers of the handlers for SIEMs: servers of the tests that check what the documentation of the real ones demands, and
 * answer as it says. None of them is the real one.
 */
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { Webhook } from "standardwebhooks";
import { type HttpReceiver, type ReceivedRequest, type ReceiverAnswer, startReceiver } from "./http-receiver.ts";

/** What a receiver has kept of an event. */
export interface KeptEvent {
  readonly id: string;
  readonly source: string;
  readonly seq: number;
}

/** A receiver, and the events that it has: each id once, in the order of arrival. */
export interface SiemReceiver extends HttpReceiver {
  readonly kept: ReadonlyMap<string, KeptEvent>;
}

async function receiver(
  answer: (request: ReceivedRequest, keep: (event: KeptEvent) => boolean) => ReceiverAnswer | Promise<ReceiverAnswer>,
): Promise<SiemReceiver> {
  const kept = new Map<string, KeptEvent>();
  const keep = (event: KeptEvent): boolean => {
    if (kept.has(event.id)) return false;
    kept.set(event.id, event);
    return true;
  };
  const server = await startReceiver(async (request) => {
    try {
      return await answer(request, keep);
    } catch (error) {
      return { status: 418, body: String(error) };
    }
  });
  return Object.assign(server, { kept });
}

interface Row {
  readonly id: string;
  readonly source_id: string;
  readonly seq: number;
}

function ofRow({ id, source_id, seq }: Row): KeptEvent {
  return { id, source: source_id, seq };
}

function json(value: unknown, status = 200): ReceiverAnswer {
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(value) };
}

/** An OpenTelemetry Collector with the JSON of OTLP. */
export function otlpReceiver(): Promise<SiemReceiver> {
  type Value = { stringValue?: string; intValue?: string };
  type Logs = {
    resourceLogs: {
      scopeLogs: { logRecords: { eventName: string; attributes: { key: string; value: Value }[] }[] }[];
    }[];
  };
  return receiver(({ method, url, headers, body }, keep) => {
    assert.equal(method, "POST");
    assert.equal(url.pathname, "/v1/logs");
    assert.equal(headers["content-type"], "application/json");
    const { resourceLogs } = JSON.parse(body.toString()) as Logs;
    for (const record of resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords))) {
      assert.notEqual(record.eventName, "");
      const value = (key: string) => record.attributes.find((one) => one.key === key)?.value;
      const [id, source, seq] = [value("seclog.id"), value("seclog.source_id"), value("seclog.seq")];
      keep({ id: id?.stringValue ?? "", source: source?.stringValue ?? "", seq: Number(seq?.intValue) });
    }
    return json({ partialSuccess: {} });
  });
}

/** The secret of {@link webhookReceiver}. */
export const WEBHOOK_SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

/** A receiver of Standard Webhooks, by their own library. */
export function webhookReceiver(): Promise<SiemReceiver> {
  return receiver(({ headers, body }, keep) => {
    const message = new Webhook(WEBHOOK_SECRET).verify(body.toString(), headers as { [name: string]: string }) as {
      type: string;
      data: { events: Row[] };
    };
    assert.equal(message.type, "seclog.events");
    for (const event of message.data.events) keep(ofRow(event));
    return { status: 204 };
  });
}

/** Elasticsearch's `_bulk`: pairs of lines, of which only `create` is allowed, and 409 for an id that is there. */
export function elasticReceiver(): Promise<SiemReceiver> {
  return receiver(({ method, url, headers, body }, keep) => {
    assert.equal(method, "POST");
    assert.match(url.pathname, /^\/[a-z0-9_.+-]+\/_bulk$/);
    assert.equal(headers["content-type"], "application/x-ndjson");
    assert.equal(headers["authorization"], "ApiKey a2V5a2V5");
    const lines = body.toString().split("\n");
    assert.equal(lines.pop(), "", "the body must end with a line end");
    const items = [];
    let errors = false;
    for (let at = 0; at < lines.length; at += 2) {
      const action = JSON.parse(lines[at] ?? "") as { create: { _id: string } };
      assert.deepEqual(Object.keys(action), ["create"]);
      const document = JSON.parse(lines[at + 1] ?? "") as {
        "@timestamp": string;
        event: { id: string; sequence: number };
        seclog: { source_id: string };
      };
      assert.match(document["@timestamp"], /^\d{4}-/);
      assert.equal(document.event.id, action.create._id);
      const isNew = keep({ id: document.event.id, source: document.seclog.source_id, seq: document.event.sequence });
      errors ||= !isNew;
      items.push({
        create: isNew ? { status: 201 } : { status: 409, error: { type: "version_conflict_engine_exception" } },
      });
    }
    return json({ errors, items });
  });
}

/** Splunk's HTTP Event Collector with indexer acknowledgement, which comes at the second time of asking. */
export function splunkReceiver(): Promise<SiemReceiver> {
  let acks = 0;
  const asked = new Map<number, number>();
  return receiver(({ url, headers, body }, keep) => {
    if (headers["authorization"] !== "Splunk secret-token") return json({ text: "Invalid token", code: 4 }, 403);
    const channel = headers["x-splunk-request-channel"] ?? url.searchParams.get("channel");
    if (typeof channel !== "string") return json({ text: "Data channel is missing", code: 10 }, 400);
    if (url.pathname === "/services/collector/ack") {
      const { acks: ids } = JSON.parse(body.toString()) as { acks: number[] };
      const times = ids.map((id) => [id, (asked.get(id) ?? 0) + 1] as const);
      for (const [id, count] of times) asked.set(id, count);
      return json({ acks: Object.fromEntries(times.map(([id, count]) => [id, count > 1])) });
    }
    assert.equal(url.pathname, "/services/collector/event");
    for (const line of body.toString().trimEnd().split("\n")) {
      const { time, event, sourcetype } = JSON.parse(line) as { time: number; event: Row; sourcetype: string };
      assert.ok(time > 1e9 && time < 1e10, "seconds since the epoch");
      assert.equal(sourcetype, "seclog:event");
      keep(ofRow(event));
    }
    return json({ text: "Success", code: 0, ackId: acks++ });
  });
}

/** Loki's push: streams of labels, each entry a time in nanoseconds and a line. */
export function lokiReceiver(): Promise<SiemReceiver> {
  return receiver(({ url, headers, body }, keep) => {
    assert.equal(url.pathname, "/loki/api/v1/push");
    assert.equal(headers["x-scope-orgid"], "team");
    const { streams } = JSON.parse(body.toString()) as {
      streams: { stream: { [label: string]: unknown }; values: [string, string][] }[];
    };
    const all: Row[] = [];
    for (const { stream, values } of streams) {
      assert.ok(Object.values(stream).every((value) => typeof value === "string"));
      assert.ok(Object.keys(stream).length <= 15, "Loki's limit of labels");
      for (const [time, line] of values) {
        assert.match(time, /^\d{19}$/);
        all.push(JSON.parse(line) as Row);
      }
    }
    for (const row of all.sort((a, b) => a.seq - b.seq)) keep(ofRow(row));
    return { status: 204 };
  });
}

/** The credentials of {@link s3Receiver}. */
export const S3_CREDENTIALS = {
  accessKeyId: "EXAMPLE-KEY",
  secretAccessKey: "s3cr3t-access-key",
  region: "eu-north-1",
};

/** S3's PutObject, with the signature computed from the documentation of AWS Signature Version 4. */
export async function s3Receiver(): Promise<SiemReceiver & { readonly objects: ReadonlyMap<string, Buffer> }> {
  const objects = new Map<string, Buffer>();
  const server = await receiver(({ method, url, headers, body }, keep) => {
    assert.equal(method, "PUT");
    assert.equal(headers["x-amz-content-sha256"], createHash("sha256").update(body).digest("hex"));
    const problem = signatureProblem(url, headers as { [name: string]: string });
    if (problem !== undefined) return { status: 403, body: `<Code>SignatureDoesNotMatch</Code> ${problem}` };
    const lines = gunzipSync(body)
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Row);
    const [, date, source, first, last] =
      /^\/events\/seclog\/date=([\d-]+)\/source=([^/]+)\/(\d{12})-(\d{12})\.ndjson\.gz$/.exec(
        decodeURIComponent(url.pathname),
      ) ?? [];
    assert.match(date ?? "", /^\d{4}-\d\d-\d\d$/);
    assert.equal(source, lines[0]?.source_id);
    assert.deepEqual([Number(first), Number(last)], [lines[0]?.seq, lines.at(-1)?.seq]);
    objects.set(url.pathname, body);
    for (const line of lines) keep(ofRow(line));
    return {};
  });
  return Object.assign(server, { objects });
}

function signatureProblem(url: URL, headers: { readonly [name: string]: string }): string | undefined {
  const [, scope = "", signed = "", given = ""] =
    /^AWS4-HMAC-SHA256 Credential=EXAMPLE-KEY\/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      headers["authorization"] ?? "",
    ) ?? [];
  const [date = "", region = "", service = ""] = scope.split("/");
  if (service !== "s3" || region !== S3_CREDENTIALS.region) return `the scope is ${scope}`;
  const names = signed.split(";");
  for (const name of ["host", "x-amz-date", "x-amz-content-sha256"])
    if (!names.includes(name)) return `${name} is not signed`;
  const canonical = [
    "PUT",
    url.pathname
      .split("/")
      .map((part) => encodeURIComponent(decodeURIComponent(part)))
      .join("/"),
    "",
    ...names.map((name) => `${name}:${(headers[name] ?? "").trim()}`),
    "",
    signed,
    headers["x-amz-content-sha256"],
  ].join("\n");
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
  const hash = createHash("sha256").update(canonical).digest("hex");
  const key = hmac(hmac(hmac(hmac(`AWS4${S3_CREDENTIALS.secretAccessKey}`, date), region), service), "aws4_request");
  const expected = hmac(key, `AWS4-HMAC-SHA256\n${headers["x-amz-date"]}\n${scope}\n${hash}`).toString("hex");
  return expected === given ? undefined : "the signature is another";
}
