/**
 * What strangers send, and what an event keeps of it: one test per input. The numbers are those of the project's list
 * of hostile inputs; rows that need a whole log are tested with it, and 34 is in test/hostile-configuration.test.ts.
 */
import { createHash } from "node:crypto";
import { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import type { EventNotes } from "../event/event.ts";
import { keepText, NoteTaker } from "../event/text.ts";
import { subjectOf } from "./addressed-request.ts";
import { type ClientIpOptions, createClientIp } from "./client-ip.ts";
import { createDataEncoder } from "./data.ts";
import { DATA_LIMITS } from "./data-limits.ts";
import { createRedactor } from "./redact.ts";
import { type RequestFacts, requestFacts } from "./request.ts";

const redactor = createRedactor();
const encode = createDataEncoder(redactor);

type Kept = [data: unknown, notes: EventNotes | undefined];

function kept(data: unknown): Kept {
  const notes = new NoteTaker();
  const json = encode(data, notes);
  return [json === undefined ? undefined : JSON.parse(json), notes.notes()];
}

function facts(request: object, clientIp?: ClientIpOptions): RequestFacts {
  return requestFacts(subjectOf(request), createClientIp(clientIp), redactor, new NoteTaker());
}

function from(peer: string, headers: { readonly [name: string]: string | string[] }, clientIp?: ClientIpOptions) {
  const { ipAddress, ipSource } = facts({ method: "GET", headers, socket: { remoteAddress: peer } }, clientIp);
  return [ipAddress, ipSource];
}

const throwing = {
  get bad(): never {
    throw new Error("getter");
  },
};

function nested(depth: number): unknown {
  let value: unknown = "deep";
  for (let i = 0; i < depth; i++) value = { in: value };
  return value;
}

const cyclic: { self?: unknown; list: unknown[] } = { list: [] };
cyclic.self = cyclic;
cyclic.list.push(cyclic.list);

const ROWS: readonly [row: number, matter: string, input: unknown, data: unknown, notes: EventNotes | undefined][] = [
  [
    1,
    "NUL",
    { a: "x\0y", "k\0": 1 },
    { a: "x\\u0000y", "k\\u0000": 1 },
    { escaped: ["data.a"], converted: { "data.k\\u0000": "name" } },
  ],
  [2, "lone surrogate", { a: "\ud800x", b: "\u{1f600}" }, { a: "\\ud800x", b: "\u{1f600}" }, { escaped: ["data.a"] }],
  [4, "CR LF", { a: "x\r\ny" }, { a: "x\r\ny" }, undefined],
  [
    5,
    "terminal escapes",
    { a: "\u001b[31m\u001b]8;;http://x\u0007" },
    { a: "\u001b[31m\u001b]8;;http://x\u0007" },
    undefined,
  ],
  [6, "bidi, zero width, homoglyphs", { a: "\u202egnp\u200b\u0430" }, { a: "\u202egnp\u200b\u0430" }, undefined],
  [7, "markup", { a: "<script>alert(1)</script>" }, { a: "<script>alert(1)</script>" }, undefined],
  [
    10,
    "cycles",
    cyclic,
    { self: "[Circular]", list: ["[Circular]"] },
    { converted: { "data.list.0": "circular", "data.self": "circular" } },
  ],
  [
    11,
    "throwing getter",
    { a: throwing, b: 1 },
    { a: { bad: "[Unserializable]" }, b: 1 },
    { converted: { "data.a.bad": "unserializable" } },
  ],
  [
    11,
    "throwing Proxy",
    {
      a: new Proxy(
        {},
        {
          ownKeys: () => {
            throw new Error("trap");
          },
        },
      ),
      b: 1,
    },
    { a: "[Unserializable]", b: 1 },
    { converted: { "data.a": "unserializable" } },
  ],
  [11, "revoked Proxy", { a: revoked() }, { a: "[Unserializable]" }, { converted: { "data.a": "unserializable" } }],
  [
    11,
    "throwing toJSON",
    {
      a: {
        toJSON: () => {
          throw new Error("json");
        },
      },
    },
    { a: "[Unserializable]" },
    { converted: { "data.a": "unserializable" } },
  ],
  [11, "throwing at the top", throwing, { bad: "[Unserializable]" }, { converted: { "data.bad": "unserializable" } }],
  [
    12,
    "BigInt",
    { a: 10n, b: -(2n ** 64n) },
    { a: "10", b: "-18446744073709551616" },
    { converted: { "data.a": "bigint", "data.b": "bigint" } },
  ],
  [12, "Symbol", { a: Symbol("s") }, { a: "Symbol(s)" }, { converted: { "data.a": "symbol" } }],
  [
    12,
    "function",
    { a: function named() {}, b: () => 1 },
    { a: "[Function: named]", b: "[Function: b]" },
    { converted: { "data.a": "function", "data.b": "function" } },
  ],
  [
    12,
    "NaN and Infinity",
    { a: Number.NaN, b: -Infinity },
    { a: "NaN", b: "-Infinity" },
    { converted: { "data.a": "number", "data.b": "number" } },
  ],
  [12, "-0", { a: -0 }, { a: 0 }, { converted: { "data.a": "-0" } }],
  [12, "undefined", { a: undefined, b: [undefined, 1] }, { b: [null, 1] }, { converted: { "data.b.0": "undefined" } }],
  [
    13,
    "Date",
    { a: new Date(0), b: new Date(Number.NaN) },
    { a: "1970-01-01T00:00:00.000Z", b: "Invalid Date" },
    { converted: { "data.b": "date" } },
  ],
  [
    13,
    "Map and Set",
    { a: new Map([["x", 1]]), b: new Map([[1, 2]]), c: new Set(["y"]) },
    { a: { x: 1 }, b: [[1, 2]], c: ["y"] },
    { converted: { "data.a": "map", "data.b": "map", "data.c": "set" } },
  ],
  [
    13,
    "Buffer and typed arrays",
    { a: Buffer.from("abc"), b: new Float64Array([1.5, Number.NaN]) },
    { a: "YWJj", b: [1.5, "NaN"] },
    { converted: { "data.a": "base64", "data.b": "Float64Array", "data.b.1": "number" } },
  ],
  [
    13,
    "Error with causes",
    { e: new TypeError("a", { cause: new Error("b", { cause: "c" }) }) },
    { e: { name: "TypeError", message: "a", cause: { name: "Error", message: "b", cause: "c" } } },
    { converted: { "data.e": "error", "data.e.cause": "error" } },
  ],
  [
    13,
    "Headers and URL",
    { h: new Headers({ "x-a": "1", cookie: "s=1" }), u: new URL("http://x/a?b") },
    { h: { "x-a": "1", cookie: "[redacted]" }, u: "http://x/a" },
    { converted: { "data.h": "Headers" }, redacted: ["data.h.cookie", "data.u"] },
  ],
  [
    16,
    "integers that are not exact",
    { a: 2 ** 53, b: 1e200 },
    { a: 2 ** 53, b: 1e200 },
    { converted: { "data.a": "unsafe integer", "data.b": "unsafe integer" } },
  ],
  [16, "1e400", { a: Number("1e400") }, { a: "Infinity" }, { converted: { "data.a": "number" } }],
  [
    19,
    "times of any year",
    { a: new Date(-8.64e15), b: new Date(8.64e15), c: "+292278994-08-17T07:12:55.807Z", d: 8.64e15 },
    {
      a: "-271821-04-20T00:00:00.000Z",
      b: "+275760-09-13T00:00:00.000Z",
      c: "+292278994-08-17T07:12:55.807Z",
      d: 8.64e15,
    },
    undefined,
  ],
];

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

describe("values", () => {
  it.each(ROWS)("%i: %s", (_row, _matter, input, data, notes) => {
    expect(kept(input)).toEqual([data, notes]);
  });

  it("9: __proto__ and constructor are plain names, and pollute nothing", () => {
    const input = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
    const notes = new NoteTaker();
    expect(encode(input, notes)).toBe('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
    const bad = JSON.parse('{"__proto__":{"password":"x"}}');
    expect(encode(bad, notes)).toBe('{"__proto__":{"password":"[redacted]"}}');
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("14: nesting of 100,000 levels is cut at 32", () => {
    const [data, notes] = kept(nested(100_000));
    expect(JSON.stringify(data)).toBe(`${'{"in":'.repeat(32)}"[Object]"${"}".repeat(32)}`);
    expect(Object.values(notes?.truncated ?? {})).toEqual([1]);
    let list: unknown = [];
    for (let i = 0; i < 100_000; i++) list = [list];
    expect(JSON.stringify(kept({ list })[0])).toContain('"[Array]"');
  });

  it("15: a text of 10 MB is cut, with its length and hash noted", () => {
    const text = "a".repeat(10_000_000);
    expect(kept({ text })).toEqual([
      { text: "a".repeat(DATA_LIMITS.text) },
      {
        truncated: { "data.text": 10_000_000 },
        sha256: { "data.text": createHash("sha256").update(text).digest("hex") },
      },
    ]);
  });

  it("15: 200,000 members and a million items are cut, with their number noted", () => {
    const wide = Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`k${i}`, i]));
    const [data, notes] = kept({ wide, list: new Array(1_000_000).fill(1), set: new Set(Array(1000).keys()) });
    const { wide: members, list, set } = data as { wide: object; list: unknown[]; set: unknown[] };
    expect([Object.keys(members).length, list.length, set.length]).toEqual([256, 256, 256]);
    expect(notes?.truncated).toEqual({ "data.wide": 200_000, "data.list": 1_000_000, "data.set": 1000 });
  });

  it("15: data stays below its limit, whatever it contains, and notes what was cut", () => {
    const bomb = (depth: number): unknown =>
      depth === 0 ? "x".repeat(5000) : Array.from({ length: 200 }, () => bomb(depth - 1));
    for (const value of [bomb(2), endless(), Array(200).fill({ ["k".repeat(200)]: "\0".repeat(8000) })]) {
      const notes = new NoteTaker();
      const json = encode({ value }, notes) ?? "";
      expect(json.length).toBeLessThan(2 * DATA_LIMITS.total);
      expect(JSON.parse(json)).toBeDefined();
      expect(notes.notes()?.truncated).toBeDefined();
      expect(JSON.stringify(notes.notes()).length).toBeLessThan(20_000);
    }
  });

  it("17: no name is ever written twice", () => {
    const json = encode({ "a\0": 1, "a\\u0000": 2, ["k".repeat(300)]: 3, ["k".repeat(301)]: 4 }, new NoteTaker()) ?? "";
    expect(json.match(/"(?:[^"\\]|\\.)*":/g)?.length).toBe(Object.keys(JSON.parse(json)).length);
  });
});

/** Every member is another object like it. */
function endless(): object {
  return new Proxy(
    {},
    {
      ownKeys: () => Array.from({ length: 300 }, (_, i) => `k${i}`),
      getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: 1 }),
      get: (_, key) => (typeof key === "string" && key.startsWith("k") ? endless() : undefined),
    },
  );
}

describe("requests", () => {
  const XFF = { trust: ["loopback", "private"] };

  it("3: header bytes that are not UTF-8 become text", () => {
    // Node reads headers as Latin-1: each byte is a character.
    const agent = Buffer.from([0xff, 0xed, 0xa0, 0x80]).toString("latin1");
    expect(facts({ method: "GET", headers: { "user-agent": agent } }).userAgent).toBe(agent);
  });

  it("4–7: a path or a user agent stays text, whatever it contains", () => {
    const nasty = "\u001b[31m\u202e<script>";
    expect(facts({ method: "GET", url: `/${nasty}`, headers: { "user-agent": nasty } })).toMatchObject({
      path: `/${nasty}`,
      userAgent: nasty,
    });
  });

  it("20: X-Forwarded-For of a direct client is ignored", () => {
    expect(from("198.51.100.9", { "x-forwarded-for": "10.0.0.1" })).toEqual(["198.51.100.9", "socket"]);
    expect(from("198.51.100.9", { "x-forwarded-for": "10.0.0.1" }, XFF)).toEqual(["198.51.100.9", "socket"]);
  });

  it("21: X-Forwarded-For is read across several headers, many hops, ports, brackets, zones and words", () => {
    const believed = (value: string | string[]) => from("10.0.0.1", { "x-forwarded-for": value }, XFF);
    expect(believed(["6.6.6.6", "203.0.113.7, 10.0.0.2"])).toEqual(["203.0.113.7", "x-forwarded-for"]);
    expect(believed(`203.0.113.7${", 10.0.0.2".repeat(900)}`)).toEqual(["203.0.113.7", "x-forwarded-for"]);
    expect(believed("6.6.6.6, 203.0.113.7:80")).toEqual(["203.0.113.7", "x-forwarded-for"]);
    expect(believed("6.6.6.6, [2001:db8::1]:80")).toEqual(["2001:db8::1", "x-forwarded-for"]);
    expect(believed("6.6.6.6, fe80::1%eth0")).toEqual(["fe80::1", "x-forwarded-for"]);
    expect(believed("6.6.6.6, unknown, 10.0.0.2")).toEqual([undefined, "invalid"]);
  });

  it("22: a mapped IPv4 address becomes the IPv4 address", () => {
    expect(from("::ffff:10.0.0.1", {})).toEqual(["10.0.0.1", "socket"]);
    expect(from("::ffff:10.0.0.1", { "x-forwarded-for": "::ffff:203.0.113.7" }, XFF)[0]).toBe("203.0.113.7");
  });

  it("23: the configured header decides where Forwarded and X-Forwarded-For disagree", () => {
    const headers = { forwarded: "for=203.0.113.7", "x-forwarded-for": "6.6.6.6" };
    expect(from("10.0.0.1", headers, { ...XFF, header: "forwarded" })).toEqual(["203.0.113.7", "forwarded"]);
    expect(from("10.0.0.1", headers, XFF)).toEqual(["6.6.6.6", "x-forwarded-for"]);
  });

  it("24: no credential header and no query value is kept", () => {
    const headers = { authorization: "Bearer s3cr3t1", cookie: "sid=s3cr3t2", "x-api-key": "s3cr3t3" };
    const request = { method: "GET", url: "/a?token=s3cr3t4", headers, socket: {} };
    expect(facts(request)).toEqual({ method: "GET", path: "/a" });
    const [data] = kept({ headers, rawHeaders: ["Cookie", "sid=s3cr3t2"], line: "GET /a?token=s3cr3t4 HTTP/1.1" });
    expect(JSON.stringify(data)).not.toContain("s3cr3t");
  });

  it("25: no password is kept, in a body, an error's message or below any name", () => {
    const error = new Error("login failed: password=hunter2");
    const [data, notes] = kept({
      error,
      body: { user: { pwd: "hunter2", Passwd: "hunter2", secret: "hunter2" } },
      otp: "hunter2",
    });
    expect(JSON.stringify(data)).not.toContain("hunter2");
    expect(notes?.redacted).toHaveLength(5);
  });

  it("26: a request that is half gone keeps the facts that it still has", () => {
    expect(facts({ method: "GET", url: "/a", headers: {}, socket: new Socket().destroy() })).toEqual({
      method: "GET",
      path: "/a",
    });
    expect(
      facts({
        get method(): never {
          throw new Error("gone");
        },
        url: "/a",
        headers: {},
      }),
    ).toEqual({ path: "/a" });
    expect(facts({})).toEqual({});
    expect(facts(throwing)).toEqual({});
    expect(facts(revoked())).toEqual({});
  });

  it("27: an id of a megabyte is cut, and one with ../ stays text", () => {
    const notes = new NoteTaker();
    expect(keepText("u".repeat(1_000_000), "actorId", 256, notes)).toHaveLength(256);
    expect(keepText("../../", "targetId", 256, notes)).toBe("../../");
    expect(notes.notes()).toEqual({ truncated: { actorId: 1_000_000 } });
    expect(kept({ userid: { $ne: null }, list: [["a"]] })).toEqual([
      { userid: { $ne: null }, list: [["a"]] },
      undefined,
    ]);
  });
});
