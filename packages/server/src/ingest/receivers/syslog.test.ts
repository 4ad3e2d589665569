import { syslogMessage } from "seclog/formats";
import { exampleEvent } from "seclog/testing";
import { describe, expect, it } from "vitest";
import { SyslogFrames } from "./syslog-frames.ts";
import { syslogEvent } from "./syslog-message.ts";

const NOW = new Date("2026-01-02T00:00:00Z");
const read = (text: string) => syslogEvent(Buffer.from(text), NOW);

describe("syslogEvent()", () => {
  it("reads RFC 5424, with structured data and a byte order mark", () => {
    const text =
      '<34>1 2026-01-01T22:14:15.003Z web-1 su 7 authz_fail [origin ip="203.0.113.7"][x@1 a="\\"q\\" \\] \\\\"] \uFEFFfailed';
    expect(read(text)).toMatchObject({
      type: "authz_fail",
      origin: { host: "web-1", logger: "su" },
      data: { level: "critical", message: "failed", "origin.ip": "203.0.113.7", "x@1.a": '"q" ] \\' },
      time: new Date("2026-01-01T22:14:15.003Z"),
    });
  });

  it.each([
    ["<13>1 - - - - - -", { type: "logged_message", data: { level: "info" } }],
    [
      "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 app 8710 ID47 - text",
      { data: { msgid: "ID47", message: "text" } },
    ],
    [
      "<34>Dec 31 22:14:15 mymachine su[12]: failed for lonvick",
      {
        origin: { host: "mymachine", logger: "su" },
        time: new Date("2025-12-31T22:14:15Z"),
        data: { message: "failed for lonvick" },
      },
    ],
    [
      "<86>2026-01-01T10:00:00+02:00 web-1 sshd[2]: x",
      { time: new Date("2026-01-01T08:00:00Z"), origin: { logger: "sshd" } },
    ],
    ["<13>django: text", { origin: { logger: "django" }, data: { message: "text" } }],
    ["no header at all", { type: "logged_message", data: { message: "no header at all", level: "info" } }],
    ["<13>1 broken", { data: { message: "1 broken" } }],
    ['<13>1 - - - - - [x a="unended', { data: { message: '1 - - - - - [x a="unended' } }],
    ["<192>x", { code: "malformed" }],
    ["", { type: "logged_message" }],
  ])("reads %s", (text, expected) => {
    expect(read(text)).toMatchObject(expected);
  });

  it("refuses bytes that are not UTF-8", () => {
    expect(syslogEvent(Buffer.from([60, 49, 51, 62, 0xff]))).toMatchObject({ code: "malformed" });
  });

  it("reads what Seclog writes", () => {
    const event = { ...exampleEvent(3), host: "web-1" };
    expect(read(syslogMessage(event))).toMatchObject({
      type: event.type,
      origin: { service: event.service, host: "web-1", logger: event.logger },
      claimed: { id: event.id, seq: 3 },
    });
  });
});

describe("SyslogFrames", () => {
  const STREAM = "5 <1>abline one\nline two\r\n\n7 <2>cd\n\n\0<3>x\0";
  const MESSAGES = ["<1>ab", "line one", "line two", "<2>cd", "<3>x"];

  it.each([1, 2, 3, 5, 8, 1_000])("cuts a stream that comes in pieces of %d bytes", (size) => {
    const frames = new SyslogFrames(100);
    const bytes = Buffer.from(STREAM);
    const found: string[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      found.push(...frames.take(bytes.subarray(at, at + size)).map(String));
    }
    expect([...found, ...frames.end().map(String)]).toEqual(MESSAGES);
  });

  it("returns a last line without its end, and no half of a counted message", () => {
    const frames = new SyslogFrames(100);
    expect(frames.take(Buffer.from("<1>last"))).toEqual([]);
    expect(frames.end().map(String)).toEqual(["<1>last"]);
    frames.take(Buffer.from("20 <1>half"));
    expect(frames.end()).toEqual([]);
  });

  it.each(["101 x", "9999999999", "0 x", `<1>${"x".repeat(200)}`, "12x <1>"])("refuses %s", (text) => {
    const frames = new SyslogFrames(100);
    expect(frames.take(Buffer.from(`<1>before\n${text}`)).map(String)).toEqual(["<1>before"]);
    expect(frames.failure).toBeDefined();
    expect(frames.end()).toEqual([]);
  });
});
