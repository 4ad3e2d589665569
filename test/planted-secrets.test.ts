/**
 * No secret that is planted in a call or a request survives: not in the spool's files, in the events that a handler
 * stores as rows, in the envelopes of a queue, or in a diagnostic.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { EventBatch } from "seclog";
import { HandlerError } from "seclog/handler";
import { decodeEnvelope, encodeEnvelopes } from "seclog/queues";
import { expect, it } from "vitest";
import { diagnostics, open, spool } from "./support/log-on-disk.ts";
import { fc } from "./support/properties.ts";

const ALNUM = [..."abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"];
const word = (length: number) => fc.string({ unit: fc.constantFrom(...ALNUM), minLength: length, maxLength: length });
const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A secret as it stands in a text, and the part of it that must be gone. */
type Planted = readonly [text: string, secret: string];

const SECRETS: fc.Arbitrary<Planted> = fc.oneof(
  word(40).map((s): Planted => [`${base64url({ alg: "HS256" })}.${base64url({ sub: "x" })}.${s}`, s]),
  word(64).map((s): Planted => [`-----BEGIN EC PRIVATE KEY-----\n${s}\n-----END EC PRIVATE KEY-----`, s]),
  word(30).map((s): Planted => [`Bearer ${s}`, s]),
  word(24).map((s): Planted => [`Authorization: Basic ${s}`, s]),
  word(16).map((s): Planted => [`AKIA${s.toUpperCase()}`, s.toUpperCase()]),
  word(36).map((s): Planted => [`ghp_${s}`, s]),
  word(24).map((s): Planted => [`sk_live_${s}`, s]),
  word(35).map((s): Planted => [`AIza${s}`, s]),
  word(24).map((s): Planted => [`hvs.${s}`, s]),
  word(43).map((s): Planted => [`https://x.blob.core.windows.net/c?sv=1&sig=${s}%3D`, s]),
  word(20).map((s): Planted => [`postgres://app:${s}@db.internal/shop`, s]),
  word(20).map((s): Planted => [`password=${s}`, s]),
  word(20).map((s): Planted => [`{"user":"x","secret":"${s}"}`, s]),
  fc.integer({ min: 0, max: 99_999_999_999_999 }).map((n): Planted => {
    const digits = `4${String(n).padStart(14, "0")}`;
    return [`card ${digits}${checkDigit(digits)}`, `${digits}${checkDigit(digits)}`];
  }),
);

/** ISO/IEC 7812-1, annex B. */
function checkDigit(digits: string): number {
  let sum = 0;
  for (const [at, digit] of [...digits].reverse().entries()) {
    const double = Number(digit) * 2;
    sum += at % 2 === 1 ? Number(digit) : double > 9 ? double - 9 : double;
  }
  return (10 - (sum % 10)) % 10;
}

/** Where a program, or its client, may put a text. Each returns the arguments of a call. */
const PLACES: { readonly [place: string]: (text: string, secret: string) => readonly [object | null, object] } = {
  "a member": (text) => [null, { message: text }],
  "a list within": (text) => [null, { a: { b: [1, { c: [`before ${text} after`] }] } }],
  "an error": (text) => [null, { error: new Error(text, { cause: new TypeError(text) }) }],
  "a map": (text) => [null, { map: new Map([["k", text]]), set: new Set([text]) }],
  bytes: (text) => [null, { bytes: Buffer.from(text) }],
  "a long text": (text) => [null, { text: `${"x".repeat(8_180)} ${text}` }],
  "a secret's name": (_text, secret) => [null, { password: secret, apiKey: [secret], session: { token: secret } }],
  "a session's id": (_text, secret) => [null, { sessionid: secret, sid: secret, jti: secret }],
  "an e-mail's class": (_text, secret) => [null, { contact: secret, deep: { contact: [secret] } }],
  headers: (_text, secret) => [
    null,
    { headers: { authorization: secret, cookie: `a=${secret}`, "x-api-key": secret } },
  ],
  "raw headers": (_text, secret) => [null, { rawHeaders: ["Authorization", secret, "Cookie", secret] }],
  "a URL": (_text, secret) => [
    null,
    { url: `https://shop.example/p?q=${secret}#${secret}`, location: new URL(`https://x/?${secret}`) },
  ],
  "a validator's issue": (_text, secret) => [null, { issues: [{ path: "password", value: secret }] }],
  "a request": (text, secret) => [
    {
      method: "GET",
      url: `/reset?token=${secret}`,
      headers: {
        authorization: `Bearer ${secret}`,
        cookie: `connect.sid=s%3A${secret}`,
        "user-agent": NO_CARD.test(text) ? `x ${text.replaceAll("\n", " ")}` : "x",
        referer: `https://shop.example/?${secret}`,
      },
      body: { password: secret },
    },
    {},
  ],
  "an actor": (text) => [null, NO_CARD.test(text) ? { actor: { id: text, type: "user" }, target: text } : {}],
};

/** Ids may be numbers: see docs/operations.md. */
const NO_CARD = /^(?!card )/;

it("no planted secret reaches a row, the spool, a queue or a diagnostic", async () => {
  const batches: EventBatch[] = [];
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const log = open({
    redact: { classes: { contact: "mask" } },
    handlers: [
      {
        name: "rows",
        async handle(batch) {
          batches.push(batch);
          await released;
        },
        close: async () => {},
      },
      {
        name: "refuses",
        // A store quotes what it refuses.
        handle: ({ events }) => Promise.reject(new HandlerError("event", `cannot store ${JSON.stringify(events[0])}`)),
        close: async () => {},
        required: false,
      },
    ],
  });
  const planted = new Map<string, string>();
  const cases = fc.sample(fc.tuple(SECRETS, fc.constantFrom(...Object.keys(PLACES))), 400);
  for (const [[text, secret], place] of cases) {
    planted.set(secret, `${text} in ${place}`);
    const [request, data] = PLACES[place]?.(text, secret) ?? [null, {}];
    log.recordSecurityEvent("sensitive_read", request, data);
    // A type that a client chose.
    if (planted.size % 20 === 0) log.recordSecurityEvent(`type ${text}` as "sys_crash", null, {});
  }
  await log.recordSecurityEvent("sys_crash").durable;
  await expect.poll(() => batches.length).toBeGreaterThan(0);
  const files = readdirSync(spool, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const onDisk = files.map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1")).join("\n");
  release();
  await log.close();

  const rows = batches.flatMap(({ events }) => events);
  expect(rows.length).toBeGreaterThan(300);
  const queued = batches.flatMap((batch) => encodeEnvelopes(batch, { maxBytes: 1_000_000 })).map(({ bytes }) => bytes);
  const opened = queued.map((bytes) => {
    const envelope = decodeEnvelope(bytes);
    return envelope.kind === "events" ? Buffer.concat(envelope.records).toString("latin1") : envelope.reason;
  });
  const outputs = {
    rows: JSON.stringify(rows),
    spool: onDisk,
    queue: opened.join("\n") + queued.map((bytes) => bytes.toString("latin1")).join("\n"),
    diagnostics: JSON.stringify(diagnostics),
  };
  for (const output of [outputs.spool, outputs.queue]) expect(output.includes("sensitive_read")).toBe(true);
  const leaks = Object.entries(outputs).flatMap(([output, text]) =>
    [...planted].filter(([secret]) => text.includes(secret)).map(([, where]) => `${output}: ${where}`),
  );
  expect(leaks).toEqual([]);
});
