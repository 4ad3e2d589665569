import { describe, expect, it } from "vitest";
import { readLogRecord } from "./log-records.ts";
import { format, readLiteral } from "./python-text.ts";

const read = (fields: Record<string, string>) => readLogRecord(Buffer.from(new URLSearchParams(fields).toString()))[0];

/** Attributes that Python sends with every record. */
const ALWAYS = {
  ...{ levelname: "WARNING", levelno: "30", args: "()", exc_info: "None", exc_text: "None", stack_info: "None" },
  ...{ pathname: "/srv/shop/views.py", filename: "views.py", module: "views", lineno: "12", funcName: "pay" },
  ...{ created: "1764529411.1234", msecs: "123.0", relativeCreated: "1.5", thread: "1", threadName: "MainThread" },
  ...{ processName: "MainProcess", process: "7", taskName: "None" },
};

describe("readLogRecord()", () => {
  it("takes the extra fields of the article's call", () => {
    const record = {
      ...ALWAYS,
      name: "security",
      msg: "illegal_request_method",
      ...{ event_type: "illegal_request_method", path: "/orders/1", method: "DELETE", ip_address: "203.0.113.7" },
      ...{ user_agent: "curl/8", status_code: "405", allowed_methods: "['GET', 'HEAD']", userid: "None" },
    };
    expect(read(record)).toEqual({
      type: "illegal_request_method",
      origin: { logger: "security" },
      request: { method: "DELETE", path: "/orders/1", ipAddress: "203.0.113.7", userAgent: "curl/8" },
      data: { level: "warning", statusCode: 405, allowedMethods: ["GET", "HEAD"] },
      time: new Date(1764529411123.4),
      claimed: undefined,
    });
  });

  it.each([
    [
      "a plain record",
      { name: "payments", msg: "card %s refused", args: "('4 of 5',)" },
      "logged_message",
      { message: "card 4 of 5 refused" },
    ],
    ["a message that is a type", { name: "security", msg: "authz_fail" }, "authz_fail", {}],
    ["a message of one word", { name: "app", msg: "started" }, "logged_message", { message: "started" }],
    [
      "CSRF",
      {
        name: "django.security.csrf",
        msg: "Forbidden (%s): %s",
        args: "('CSRF cookie not set.', '/transfer')",
        request: "<WSGIRequest: POST '/transfer?to=bob'>",
        status_code: "403",
      },
      "malicious_csrf",
      { reason: "CSRF cookie not set." },
    ],
    [
      "a host that is not served",
      { name: "django.security.DisallowedHost", msg: "Invalid HTTP_HOST header: 'x'.", levelno: "40" },
      "host_header_rejected",
      { reason: "DisallowedHost" },
    ],
    [
      "a suspicious operation",
      { name: "django.security.TooManyFieldsSent", msg: "too many", levelno: "40" },
      "input_validation_fail",
      { reason: "TooManyFieldsSent" },
    ],
    [
      "405 of Django",
      { name: "django.request", msg: "Method Not Allowed (DELETE): /x", status_code: "405" },
      "illegal_request_method",
      {},
    ],
    [
      "a failure, with the traceback that QueueHandler appends",
      {
        name: "django.request",
        msg: 'Internal Server Error: /x\nTraceback (most recent call last):\n  File "/srv/x.py"\nshop.errors.Broken: secret',
        status_code: "500",
      },
      "sys_error",
      { reason: "Broken", message: "Internal Server Error: /x" },
    ],
    [
      "404 of Django",
      { name: "django.request", msg: "Not Found: /x", status_code: "404" },
      "logged_message",
      { message: "Not Found: /x" },
    ],
  ])("knows %s", (_, fields, type, data) => {
    expect(read({ ...ALWAYS, ...fields })).toMatchObject({ type, data });
  });

  it("leaves the level of Django's own records to the catalogue", () => {
    const record = read({ ...ALWAYS, name: "django.security.SuspiciousOperation", msg: "x", levelno: "40" });
    expect(record).not.toHaveProperty("data.level");
    expect(read({ ...ALWAYS, name: "app", msg: "x", levelno: "45" })).toHaveProperty("data.level", "error");
  });

  it.each([
    ["names of fields as data", { __proto__: "x", constructor: "y" }],
    ["nothing at all", {}],
  ])("takes %s", (_, fields) => {
    expect(read(fields)).toMatchObject({ type: "logged_message" });
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it("refuses bytes that are not UTF-8, and too many fields", () => {
    expect(() => readLogRecord(Buffer.from("name=%ff"))).toThrow("UTF-8");
    expect(() => readLogRecord(Buffer.from(Array.from({ length: 300 }, (_, n) => `f${n}=1`).join("&")))).toThrow("200");
  });
});

describe("readLiteral()", () => {
  it.each([
    ["()", []],
    ["('a', \"it's\", 3, -1.5, None, True)", ["a", "it's", 3, -1.5, null, true]],
    ["['\\n', '\\x41', '\\u00e9', '\\\\']", ["\n", "A", "é", "\\"]],
    ["('a',)", ["a"]],
    ["(('a', 1), [2])", [["a", 1], [2]]],
    ["{'a': 1}", undefined],
    ["('a'", undefined],
    ["('a' 'b')", undefined],
    ["(<object>,)", undefined],
    ["(".repeat(5_000), undefined],
    [`'${"a".repeat(20_000)}'`, undefined],
  ])("reads %s", (text, value) => {
    expect(readLiteral(text)).toEqual(value);
  });
});

describe("format()", () => {
  it.each([
    ["%s is %d%%", ["load", 90], "load is 90%"],
    ["%-10s|%.2f", ["a", 1.5], "a|1.5"],
    ["%s %s", ["one"], "one %s"],
    ["no conversion", ["x"], "no conversion"],
  ] as const)("formats %s", (message, args, text) => {
    expect(format(message, [...args])).toBe(text);
  });
});
