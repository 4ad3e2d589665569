/** OTLP's two forms: the JSON by its specification, the bytes by protoc with the official definitions. */
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { BARE_EVENT, FULL_EVENT, hostileEvents } from "#test/support/hostile-events.ts";
import { root } from "../../../../scripts/files.js";
import type { SecurityEvent } from "../event/event.ts";
import { VERSION } from "../event/version.ts";
import { type OtlpLogRecord, otlpLogs, otlpProtobuf } from "./otlp.ts";

const DEFINITIONS = join(root, "test/fixtures/opentelemetry");
const REQUEST = "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest";
const hasProtoc = spawnSync("protoc", ["--version"]).status === 0;
if (!hasProtoc) console.log("SKIPPED: protoc is not installed (Debian: protobuf-compiler)");

function protoc(mode: "encode" | "decode", input: Uint8Array): Buffer {
  const file = "opentelemetry/proto/collector/logs/v1/logs_service.proto";
  return execFileSync("protoc", [`--${mode}=${REQUEST}`, `--proto_path=${DEFINITIONS}`, file], {
    input,
    maxBuffer: 1 << 30,
  });
}

describe("otlpProtobuf()", () => {
  it.skipIf(!hasProtoc)("is what protoc reads and would write itself, for any event", async () => {
    const events = [FULL_EVENT, BARE_EVENT, ...(await hostileEvents())];
    const bytes = otlpProtobuf(events);
    const text = protoc("decode", bytes);
    // A field that the definitions do not know would be printed by its number.
    expect(text.toString()).not.toMatch(/^\s*\d+[:{ ]/m);
    expect(text.toString().match(/event_name:/g)).toHaveLength(events.length);
    expect(protoc("encode", text).equals(bytes)).toBe(true);
  });

  it.skipIf(!hasProtoc)("has every member of an event", async () => {
    const text = protoc("decode", otlpProtobuf([FULL_EVENT, BARE_EVENT])).toString();
    await expect(text.replaceAll(VERSION, "VERSION")).toMatchFileSnapshot("golden/otlp-protobuf.txtpb");
  });
});

function records(events: readonly SecurityEvent[]): readonly OtlpLogRecord[] {
  return otlpLogs(events).resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords));
}

describe("otlpLogs()", () => {
  it("keeps the events of one service, environment and host together", () => {
    const other = { ...BARE_EVENT, service: "mail" };
    const { resourceLogs } = otlpLogs([FULL_EVENT, other, { ...FULL_EVENT, seq: 8 }]);
    expect(resourceLogs.map(({ scopeLogs }) => scopeLogs[0]?.logRecords.length)).toEqual([2, 1]);
    expect(resourceLogs[0]?.resource.attributes).toEqual([
      { key: "service.name", value: { stringValue: "shop-api" } },
      { key: "deployment.environment.name", value: { stringValue: "production" } },
      { key: "host.name", value: { stringValue: "web-1" } },
    ]);
  });

  it("has nanoseconds as texts, and no attribute twice", async () => {
    for (const record of records([FULL_EVENT, ...(await hostileEvents())])) {
      expect(record.timeUnixNano).toMatch(/^[1-9]\d{18}$/);
      const keys = record.attributes.map(({ key }) => key);
      expect(new Set(keys).size).toBe(keys.length);
    }
    expect(records([FULL_EVENT])[0]?.timeUnixNano).toBe("1795376602123456000");
    expect(records([{ ...FULL_EVENT, occurredAt: "infinity" }])[0]?.timeUnixNano).toBe("0");
  });

  it("correlates with a trace only by ids that OpenTelemetry accepts", () => {
    const [record] = records([FULL_EVENT]);
    expect(record).toMatchObject({ traceId: FULL_EVENT.traceId, spanId: FULL_EVENT.spanId });
    for (const traceId of ["0".repeat(32), "xyz", "ab", "0AF7651916CD43DD8448EB211C80319C"]) {
      const [other] = records([{ ...FULL_EVENT, traceId }]);
      expect(other).not.toHaveProperty("traceId");
      expect(other).not.toHaveProperty("spanId");
    }
  });
});
