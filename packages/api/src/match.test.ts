import { describe, expect, it } from "vitest";
import type { EventRecord } from "./event-record.ts";
import { matchQuery } from "./match.ts";
import { parseQuery } from "./parse.ts";
import { timeRange } from "./times.ts";

const EVENT: EventRecord = {
  id: "01a00000-0000-7000-8000-000000000001",
  occurred_at: "2026-11-22T10:30:00.000001Z",
  created_at: "2026-11-22T10:30:01.000000Z",
  event_type: "authn_login_fail",
  level: "warning",
  category: "authn",
  outcome: "failure",
  logger: "security",
  source_id: "01a00000-0000-7000-8000-00000000000a",
  seq: 7,
  epoch: 1,
  v: 1,
  ip_address: "203.0.113.9",
  actor_id: "alice",
  path: "/login/Form",
  method: "_OTHER",
  method_original: "Propfind",
  status_code: 401,
  request_host: "Shop.example:8443",
  data: { userid: 12, newuserid: "bob", "10": "x", "9": 'a "q"' },
};
const NOW = new Date("2026-11-22T11:00:00Z");

describe("matchQuery()", () => {
  it.each([
    "",
    "type:authn_* ip:203.0.113.0/24 -path:/health level>=warning status:4xx",
    "type:x or actor:alice",
    "-service:shop",
    "-(service:shop or host:other)",
    "path:/login -path:/LOGIN path:*Form",
    "method:propfind",
    "host:shop.example host:shop.example:8443 host:*.example:*",
    "actor:12 target:bob target:12 -actor:bob",
    '"LOGIN/form" "propfind" "203" or form',
    'data:"userid"',
    'data:"a \\"q\\""',
    '"\\"10\\":\\"x\\",\\"9\\""',
    "since:1h until:29m count:1 seq>=7 -seq>7",
    "since:2026-11-22T10:30Z",
    "-since:2026-11-22T10:31Z",
    "path:* -service:*",
    "ip!=203.0.113.10",
    "id:01A00000-0000-7000-8000-000000000001",
  ])("%s", (text) => {
    expect(matchQuery(parseQuery(text), EVENT, NOW)).toBe(true);
    if (text !== "") expect(matchQuery(parseQuery(`-(${text})`), EVENT, NOW)).toBe(false);
  });
});

describe("timeRange()", () => {
  it("is what every match fulfils", () => {
    const range = (text: string): unknown => timeRange(parseQuery(text), NOW);
    expect(range("since:1h level:error since:30m")).toEqual({ since: new Date("2026-11-22T10:30:00Z") });
    expect(range("until:1h")).toEqual({ until: new Date("2026-11-22T10:00:00Z") });
    expect(range("since:1h or level:error")).toEqual({});
    expect(range("-since:1h")).toEqual({});
  });
});
