import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import type { EventNotes } from "../event/event.ts";
import { NoteTaker, unescapeText } from "../event/text.ts";
import { createDataEncoder } from "./data.ts";
import { DATA_LIMITS } from "./data-limits.ts";
import { createRedactor, REDACTED } from "./redact.ts";

const encode = createDataEncoder(createRedactor({ key: "0123456789abcdef" }));

function kept(data: unknown, encoder = encode): { readonly data: unknown; readonly notes: EventNotes | undefined } {
  const notes = new NoteTaker();
  const json = encoder(data, notes);
  return { data: json === undefined ? undefined : JSON.parse(json), notes: notes.notes() };
}

describe("createDataEncoder()", () => {
  it("encodes plain data as RFC 8785 does, without notes", () => {
    const text = fc.string({ maxLength: 6 });
    const value = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        text,
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => Number.isSafeInteger(n) || n % 1 !== 0),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie("value"), { maxLength: 5 }),
        fc.dictionary(text, tie("value"), { maxKeys: 5 }),
      ),
    })).value;
    fc.assert(
      fc.property(fc.dictionary(text, value), (data) => {
        const plain = JSON.parse(JSON.stringify(data));
        // Names that redaction recognises by their letters alone.
        const letters = JSON.stringify(plain).replace(/[^a-z"]/gi, "");
        fc.pre(!/pass|pin|pan|tan|dsn|ssn|otp|pwd|sid|jti|auth|toJSON|uri|url/i.test(letters));
        const notes = new NoteTaker();
        const json = encode(plain, notes);
        expect(json ?? "{}").toBe(canonicalize(plain));
        expect(notes.notes()).toBeUndefined();
      }),
    );
  });

  it("never throws, and returns one canonical JSON object that PostgreSQL accepts, whatever the input", () => {
    fc.assert(
      fc.property(
        fc.anything({
          ...{ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true },
          ...{ withNullPrototype: true, withObjectString: true, withBoxedValues: true, withSparseArray: true },
          key: fc.oneof(
            fc.string({ unit: "binary" }),
            fc.constantFrom("__proto__", "constructor", "\ud800", "a\0", "toJSON"),
          ),
          values: [
            fc.string({ unit: "binary" }),
            fc.double(),
            fc.bigInt(),
            fc.constant(Symbol("s")),
            fc.func(fc.integer()),
          ],
        }),
        (data) => {
          const notes = new NoteTaker();
          const json = encode(data, notes);
          if (json === undefined) return;
          expect(json.isWellFormed()).toBe(true);
          expect(json).not.toMatch(/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i);
          expect(json.startsWith("{")).toBe(true);
          expect(canonicalize(JSON.parse(json))).toBe(json);
          expect(JSON.stringify(notes.notes() ?? {}).isWellFormed()).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("returns no data for empty data, and wraps what is not an object", () => {
    expect(kept(undefined).data).toBeUndefined();
    expect(kept(null).data).toBeUndefined();
    expect(kept({}).data).toBeUndefined();
    expect(kept({ a: undefined })).toEqual({ data: undefined, notes: undefined });
    expect(kept("text").data).toEqual({ value: "text" });
    expect(kept([1, 2]).data).toEqual({ value: [1, 2] });
    expect(kept(new Date(0)).data).toEqual({ value: "1970-01-01T00:00:00.000Z" });
  });

  it("omits the top-level members that have columns, and only those", () => {
    const json = encode({ actor: "x", a: { actor: "y" } }, new NoteTaker(), new Set(["actor"]));
    expect(json).toBe('{"a":{"actor":"y"}}');
    expect(encode({ actor: "x" }, new NoteTaker(), new Set(["actor"]))).toBeUndefined();
  });

  it("redacts by name at any depth, and notes where", () => {
    expect(
      kept({
        password: "hunter2",
        userid: "u1",
        form: [{ newPassword: "x" }, { headers: { Cookie: "a=b" } }],
        hasPassword: true,
        otp: null,
        maxTokens: 5,
      }),
    ).toEqual({
      data: {
        password: "[redacted]",
        userid: "u1",
        form: [{ newPassword: "[redacted]" }, { headers: { Cookie: "[redacted]" } }],
        hasPassword: true,
        otp: null,
        maxTokens: 5,
      },
      notes: { redacted: ["data.form.0.newPassword", "data.form.1.headers.Cookie", "data.password"] },
    });
  });

  it("redacts the value that a validator's error or an entry pairs with a secret name", () => {
    expect(kept({ errors: [{ path: "password", value: "hunter2", msg: "short" }] }).data).toEqual({
      errors: [{ path: "password", value: "[redacted]", msg: "short" }],
    });
    expect(kept({ form: Object.entries({ user: "u", pwd: "hunter2" }) }).data).toEqual({
      form: [
        ["user", "u"],
        ["pwd", "[redacted]"],
      ],
    });
    expect(kept({ fields: ["password", "email"] }).data).toEqual({ fields: ["password", "email"] });
  });

  it("never keeps the value of a secret name, wherever it is", () => {
    const wrap = fc.constantFrom<(inner: unknown) => unknown>(
      (inner) => ({ inner }),
      (inner) => [inner],
      (inner) => new Map([["inner", inner]]),
      (inner) => new Set([inner]),
      (inner) => new Error("failed", { cause: inner }),
      (inner) => ({ toJSON: () => inner }),
    );
    const name = fc.constantFrom(
      "password",
      "api-key",
      "Authorization",
      "user_token",
      "CVV",
      "session.secret",
      "sessionId",
    );
    fc.assert(
      fc.property(
        fc.array(wrap, { maxLength: 6 }),
        name,
        fc.stringMatching(/^[a-z]{12}$/),
        (wraps, secretName, planted) => {
          const data = wraps.reduce<unknown>((inner, each) => each(inner), { [secretName]: planted });
          const notes = new NoteTaker();
          expect(encode({ data }, notes)).not.toContain(planted);
          expect(notes.notes()).toBeDefined();
        },
      ),
    );
  });

  it("hashes session and token ids, so that equal ids stay equal", () => {
    const { data, notes } = kept({ sessionid: "s1", other: { sessionId: "s1" }, tokenid: "t1", session: { a: 1 } });
    const { sessionid, other, tokenid, session } = data as {
      sessionid: string;
      other: { sessionId: string };
      tokenid: string;
      session: unknown;
    };
    expect(sessionid).toMatch(/^hmac:[0-9a-f]{32}$/);
    expect(other.sessionId).toBe(sessionid);
    expect(tokenid).not.toBe(sessionid);
    expect(session).toEqual({ a: 1 });
    expect(notes?.converted).toEqual({
      "data.sessionid": "hmac-sha256",
      "data.other.sessionId": "hmac-sha256",
      "data.tokenid": "hmac-sha256",
    });
  });

  it("redacts the paths that the application configures", () => {
    const own = createDataEncoder(createRedactor({ paths: ["data.user.email", "data.items.*.code"] }));
    expect(kept({ user: { email: "a@b", id: 1 }, email: "c@d", items: [{ code: 1 }, { code: 2 }] }, own).data).toEqual({
      user: { email: "[redacted]", id: 1 },
      email: "c@d",
      items: [{ code: "[redacted]" }, { code: "[redacted]" }],
    });
  });

  it("removes the query from URLs, by type and by name", () => {
    expect(
      kept({ a: new URL("https://u:p@x.example/p?token=1#f"), referer: "https://y.example/?q=1", url: "/z" }),
    ).toEqual({
      data: { a: "https://u:[redacted]@x.example/p", referer: "https://y.example/", url: "/z" },
      notes: { redacted: ["data.a", "data.referer"] },
    });
  });

  it("redacts a bare number as a card's, except under a name of an id or a number", () => {
    const card = 4111111111111111;
    const typed = { value: card, message: String(card), field: String(card), x: card, free: BigInt(card) };
    const kind = { cc: "4111111111111112", card: { brand: "visa" }, pan: 1, cardNo: "x", credit_card: [card] };
    const named = { n: card, order: String(card), order_ref: card, phoneNumber: card, count: BigInt(card), user: card };
    const ids = { orderId: "4111 1111 1111 1111", user_ids: [card, String(card)], [card]: 1 };
    const other = { m: 4111111111111112, t: 1763840602123, snowflake: "480000000000000004" };
    const redacted = (of: object) => Object.fromEntries(Object.keys(of).map((name) => [name, REDACTED]));
    expect(
      kept({
        ...typed,
        ...kind,
        ...named,
        ...ids,
        ...other,
        list: [card, [card]],
        orders: [card],
        input: { field: card },
      }),
    ).toEqual({
      data: {
        ...{ ...redacted(typed), ...redacted(kind), ...named, ...ids, ...other, count: String(card) },
        ...{ list: [REDACTED, [REDACTED]], orders: [card], input: { field: REDACTED } },
      },
      notes: {
        converted: { "data.free": "bigint", "data.count": "bigint" },
        redacted: [
          ...[
            "card",
            "cardNo",
            "cc",
            "credit_card",
            "field",
            "free",
            "input.field",
            "list.0",
            "list.1.0",
            "message",
            "pan",
          ],
          ...["value", "x"],
        ].map((name) => `data.${name}`),
      },
    });
  });

  it("redacts the whole of a secret that a cut would split", () => {
    const jwt = `eyJ${"a".repeat(40)}.eyJ${"b".repeat(40)}.${"c".repeat(40)}`;
    for (const secret of [jwt, "AKIAABCDEFGHIJKLMNOP", "4111111111111111", `sk_live_${"d".repeat(24)}`]) {
      for (let inside = 1; inside < secret.length; inside++) {
        const text = `${"x".repeat(DATA_LIMITS.text - inside - 1)} ${secret} ${"y".repeat(9000)}`;
        const [, end = ""] = (kept({ text }).data as { text: string }).text.split(" ");
        expect("[redacted]".startsWith(end)).toBe(true);
      }
    }
  });

  it("encodes bytes as Base64, unless they contain a secret", () => {
    expect(kept({ b: Buffer.from([1, 2, 255]), d: new DataView(new ArrayBuffer(1)) })).toEqual({
      data: { b: "AQL/", d: "AA==" },
      notes: { converted: { "data.b": "base64", "data.d": "base64" } },
    });
    expect(kept({ b: Buffer.from("Bearer abcdef123456") }).data).toEqual({ b: "[redacted]" });
  });

  it("names requests, sockets and streams without walking them", async () => {
    const { IncomingMessage } = await import("node:http");
    const { Socket } = await import("node:net");
    const request = new IncomingMessage(new Socket());
    request.headers.authorization = "Bearer abc";
    expect(kept({ request })).toEqual({
      data: { request: "[IncomingMessage]" },
      notes: { converted: { "data.request": "object" } },
    });
  });

  it("keeps objects apart whose toJSON() calls the log again", () => {
    const inner = { toJSON: () => kept({ b: { c: 1n } }).data };
    expect(kept({ a: { x: inner }, z: { y: 2n } })).toEqual({
      data: { a: { x: { b: { c: "1" } } }, z: { y: "2" } },
      notes: { converted: { "data.z.y": "bigint" } },
    });
  });

  it("keeps names distinct that would become equal when cut or escaped", () => {
    const long = "k".repeat(300);
    const { data } = kept({ [`${long}1`]: 1, [`${long}2`]: 2, "\0": 3, "\\u0000": 4 });
    expect(Object.values(data as object).sort()).toEqual([1, 2, 3, 4]);
  });

  it("hashes the whole of a text that it cuts, and omits the hash if the text contains a secret", () => {
    const text = "é".repeat(100_000);
    const { data, notes } = kept({ text, secret: 1, other: `password=hunter2 ${"x".repeat(100_000)}` });
    expect((data as { text: string }).text).toBe("é".repeat(DATA_LIMITS.text));
    expect(notes?.truncated).toEqual({ "data.text": 100_000, "data.other": 100_017 });
    expect(notes?.sha256).toEqual({ "data.text": createHash("sha256").update(text).digest("hex") });
  });

  it("escapes text so that it can be decoded again", () => {
    const { data, notes } = kept({ a: "x\0\\y\udfff", b: "x\\y" });
    expect(notes).toEqual({ escaped: ["data.a"] });
    expect(unescapeText((data as { a: string }).a)).toBe("x\0\\y\udfff");
    expect((data as { b: string }).b).toBe("x\\y");
  });
});
