import { expect, it } from "vitest";
import type { SecurityEvent } from "../event/event.ts";
import { readableLine } from "./line.ts";
import { ndjsonLine } from "./ndjson.ts";

const EVENT: SecurityEvent = {
  v: 1,
  id: "019aad2f-1b2c-7000-8000-000000000001",
  occurredAt: "2026-11-22T19:43:22.123456Z",
  sourceId: "019aad2f-0000-7000-8000-000000000001",
  epoch: 1,
  seq: 7,
  type: "illegal_request_method",
  level: "warning",
  category: "request",
  outcome: "failure",
  logger: "security",
  method: "_OTHER",
  methodOriginal: "BREW",
  path: "/a b\u001b[2J\r\nFAKE",
  statusCode: 405,
  allowedMethods: "GET, HEAD",
  ipAddress: "203.0.113.9",
  actorId: 'x"y',
  userAgent: "curl/8 \u202eevil",
  data: { note: "two\nlines\u2028" },
};

it("readableLine() - prints one line, the important parts first, without anything that a terminal obeys", () => {
  expect(readableLine(EVENT, false)).toBe(
    '2026-11-22T19:43:22.123456Z WARNING  illegal_request_method BREW "/a b\\x1b[2J\\r\\nFAKE" 405 203.0.113.9 ' +
      'allowed="GET, HEAD" actor="x\\"y" agent="curl/8 \\u202eevil" data={"note":"two\\nlines\\u2028"}\n',
  );
});

it("readableLine() - colours the level only", () => {
  const plain = readableLine(EVENT, false);
  expect(readableLine(EVENT, true)).toBe(plain.replace("WARNING ", "\u001b[33mWARNING \u001b[0m"));
  expect(readableLine({ ...EVENT, level: "info" }, true)).not.toContain("\u001b");
});

it("ndjsonLine() - prints one line that parses to the columns", () => {
  const line = ndjsonLine(EVENT);
  expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  expect(line.endsWith("\n")).toBe(true);
  expect(JSON.parse(line)).toMatchObject({
    event_type: "illegal_request_method",
    path: EVENT.path,
    user_agent: EVENT.userAgent,
    data: EVENT.data,
    seq: 7,
  });
});
