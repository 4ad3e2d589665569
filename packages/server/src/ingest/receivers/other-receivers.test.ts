import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type OtlpLogs, otlpLogs, otlpProtobuf } from "seclog/formats";
import { exampleEvent } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { type Collector, startCollector } from "./collector.ts";
import { otlpJsonEvents, otlpProtobufEvents } from "./otlp.ts";
import { protobufFields, protobufText } from "./protobuf-reader.ts";
import { addToken } from "./token-file.ts";

let database: TestDatabase;
let collector: Collector;
let token: string;
const spool = mkdtempSync(join(tmpdir(), "seclog-receivers-"));

beforeAll(async () => {
  database = await createTestDatabase();
  token = addToken(spool, { name: "agent", services: ["shop", "fleet"] }).token;
  collector = await startCollector({
    listen: { host: "127.0.0.1", port: 0 },
    spool,
    url: database.writerUrl,
    syslog: {
      sender: "agent",
      listeners: (["udp", "tcp"] as const).map((protocol) => ({ protocol, listen: { host: "127.0.0.1", port: 0 } })),
    },
    onTrouble: () => {},
  });
});
afterAll(async () => {
  await collector.close();
  await database[Symbol.asyncDispose]();
  rmSync(spool, { recursive: true, force: true });
});

async function rows(where: string, count: number): Promise<Record<string, unknown>[]> {
  let found: Record<string, unknown>[] = [];
  await expect
    .poll(
      async () => {
        found = await database.query(`SELECT * FROM security_event_log WHERE ${where} ORDER BY seq`);
        return found.length;
      },
      { timeout: 15_000 },
    )
    .toBe(count);
  return found;
}

async function postLogs(body: string | Uint8Array, type: string): Promise<Response> {
  return await fetch(`${collector.url}/v1/logs`, {
    method: "POST",
    headers: { "content-type": type, authorization: `Bearer ${token}` },
    body: typeof body === "string" ? body : Uint8Array.from(body),
  });
}

const PROTOBUF = "application/x-protobuf";
const JSON_TYPE = "application/json";
const request = (...records: object[]): string =>
  JSON.stringify({
    resourceLogs: [{ resource: { attributes: [] }, scopeLogs: [{ scope: { name: "lib" }, logRecords: records }] }],
  });

describe("POST /v1/logs", () => {
  it("reads both forms alike", () => {
    const events = [exampleEvent(1), exampleEvent(2)];
    const fromJson = otlpJsonEvents(Buffer.from(JSON.stringify(otlpLogs(events))));
    expect(otlpProtobufEvents(Buffer.from(otlpProtobuf(events)))).toEqual(fromJson);
    expect(fromJson).toMatchObject(events.map(({ id, type, seq }) => ({ type, claimed: { id, seq } })));
  });

  it("stores what Seclog exports with the columns that it had", async () => {
    const event = {
      ...exampleEvent(7),
      service: "shop",
      statusCode: 403,
      route: "/orders/:id",
      data: { a: [1, "x", { b: true }] },
    };
    const answer = await postLogs(otlpProtobuf([event]), PROTOBUF);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe(PROTOBUF);
    expect((await answer.arrayBuffer()).byteLength).toBe(0);
    const [row] = await rows(`data #>> '{collector,claimed,id}' = '${event.id}'`, 1);
    expect(row).toMatchObject({
      event_type: event.type,
      level: event.level,
      outcome: event.outcome,
      service: "shop",
      host: null,
      logger: event.logger,
      method: event.method,
      path: event.path,
      route: "/orders/:id",
      status_code: 403,
      ip_address: event.ipAddress,
      user_agent: event.userAgent,
      actor_id: event.actorId,
      data: { a: [1, "x", { b: true }], collector: { receiver: "otlp" } },
    });
  });

  it("takes a record of any OpenTelemetry logger", async () => {
    const record = {
      timeUnixNano: "1764529411123000000",
      severityNumber: 17,
      body: { stringValue: "payment refused" },
      traceId: "4BF92F3577B34DA6A3CE929D0E0E4736",
      spanId: "00f067aa0ba902b7",
      attributes: [
        { key: "http.request.method", value: { stringValue: "POST" } },
        { key: "order.id", value: { intValue: "9007199254740993" } },
        { key: "client.address", value: { stringValue: "203.0.113.9" } },
      ],
    };
    expect((await postLogs(request(record), JSON_TYPE)).status).toBe(200);
    const [row] = await rows("event_type = 'logged_message' AND logger = 'lib'", 1);
    expect(row).toMatchObject({
      level: "error",
      method: "POST",
      ip_address: "203.0.113.9",
      trace_id: record.traceId.toLowerCase(),
      data: {
        message: "payment refused",
        "order.id": "9007199254740993",
        collector: { time: "2025-11-30T19:03:31.123Z" },
      },
    });
  });

  it("says how many records of a batch it refused, and takes the others", async () => {
    const batch = request(
      { eventName: "sys_crash" },
      { severityNumber: 99 },
      { severityNumber: "ERROR" },
      { eventName: "log_stopped" },
    );
    const answer = await postLogs(batch, JSON_TYPE);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({
      partialSuccess: { rejectedLogRecords: "3", errorMessage: expect.stringContaining("record 1") as string },
    });
    await rows("event_type = 'sys_crash'", 1);
    const logs = otlpLogs([exampleEvent(1), { ...exampleEvent(2), type: "log_read" }]);
    const binary = await postLogs(otlpProtobuf([{ ...exampleEvent(2), type: "log_read" }]), PROTOBUF);
    expect(logs.resourceLogs).toHaveLength(1);
    const [partial] = [...protobufFields(new Uint8Array(await binary.arrayBuffer()))];
    const [count, message] = [...protobufFields(partial?.bytes ?? new Uint8Array())];
    expect(count).toMatchObject({ number: 1, integer: 1n });
    expect(message && protobufText(message)).toContain("log_read");
  });

  it.each([
    ["garbage", Buffer.from([0xff, 0xff, 0xff]), PROTOBUF],
    ["a length beyond the body", Buffer.from([0x0a, 0x7f, 1]), PROTOBUF],
    ["a message in itself, without end", Buffer.from("0a0a".repeat(2_000), "hex"), PROTOBUF],
    ["no object", Buffer.from("[]"), JSON_TYPE],
    ["records that are no list", Buffer.from('{"resourceLogs":{}}'), JSON_TYPE],
  ])("answers 400 to %s", async (_, body, type) => {
    const answer = await postLogs(body, type);
    expect(answer.status).toBe(400);
    expect(answer.headers.get("content-type")).toBe(type);
  });

  it("takes a request without records", async () => {
    expect((await postLogs(new Uint8Array(), PROTOBUF)).status).toBe(200);
    expect(await (await postLogs("{}", JSON_TYPE)).json()).toEqual({});
    expect((await postLogs("{}", "text/plain")).status).toBe(415);
  });

  it("takes values of any depth that has a bound", async () => {
    let value: OtlpLogs["resourceLogs"][number]["resource"]["attributes"][number]["value"] = { stringValue: "x" };
    for (let depth = 0; depth < 40; depth++) value = { arrayValue: { values: [value] } };
    const answer = await postLogs(request({ attributes: [{ key: "deep", value }] }), JSON_TYPE);
    expect(await answer.json()).toMatchObject({ partialSuccess: { rejectedLogRecords: "1" } });
  });
});

const hasLogger = ((): boolean => {
  try {
    return execFileSync("logger", ["--version"], { encoding: "utf8" }).includes("util-linux");
  } catch {
    return false;
  }
})();
if (!hasLogger) console.warn("SKIPPED: syslog from logger(1): util-linux is not installed");

describe("syslog", () => {
  const portOf = (protocol: string): string =>
    new URL(collector.syslog.find((url) => url.startsWith(protocol)) ?? "").port;

  it.skipIf(!hasLogger).each([
    ["udp", ["--udp", "--rfc3164"]],
    ["udp", ["--udp", "--rfc5424"]],
    ["tcp", ["--tcp", "--rfc5424"]],
    ["tcp", ["--tcp", "--octet-count", "--rfc5424"]],
    ["tcp", ["--tcp", "--rfc3164"]],
  ])("takes messages of logger(1) over %s, %s", async (protocol, options) => {
    const text = `${protocol} ${options.join(" ")} ü`;
    const args = [
      ...options,
      "--server",
      "127.0.0.1",
      "--port",
      portOf(protocol),
      "--priority",
      "auth.warning",
      "--tag",
      "sudo",
      text,
    ];
    execFileSync("logger", args);
    const [row] = await rows(`data ->> 'message' = '${text}'`, 1);
    expect(row).toMatchObject({ event_type: "logged_message", level: "warning", logger: "sudo", service: "shop" });
    expect(row?.["data"]).toMatchObject({ collector: { sender: "agent", receiver: "syslog" } });
  });

  it("stores an event that Python's SysLogHandler or Seclog's own sends as JSON", async () => {
    const socket = connect(Number(portOf("tcp")), "127.0.0.1");
    const event = JSON.stringify({ event_type: "upload_delete", service: "fleet", ip_address: "203.0.113.4" });
    socket.write(`<12>sshd: ${event}\n`);
    socket.end(`999999999 x`);
    const [row] = await rows("event_type = 'upload_delete'", 1);
    expect(row).toMatchObject({ service: "fleet", ip_address: "203.0.113.4" });
  });
});
