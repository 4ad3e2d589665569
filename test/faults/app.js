/**
 * The application under fault. Records events one turn after the other, and tells the ledger of each before the call and
 * when its promise has resolved. Its options come as JSON in `FAULT_APP` (see `startApp` in world.js).
 */
import { constants, openSync, writeSync } from "node:fs";
import { createSecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { contentHash } from "./check.js";

const options = JSON.parse(process.env.FAULT_APP);
const { life, count, perTurn, inFlight, pause, textLength, wait, types, spool, handler, close } = options;
const ledger = openSync(options.ledger, constants.O_WRONLY);
const tell = (line) => writeSync(ledger, `${line}\n`);
const state = { recorded: 0, acknowledged: 0, refused: 0, stall: 0, rss: 0, failures: {} };

const security = createSecurityLog({
  service: "faults",
  spool,
  handlers: [postgresHandler({ url: process.env.SECLOG_DATABASE_URL, ...handler })],
  delivery: options.delivery,
  whenFull: options.whenFull,
  diagnostics: ({ code }) => {
    state.failures[code] = (state.failures[code] ?? 0) + 1;
  },
});

/** Texts that have hurt others: quotes, tabs, COPY's own escapes, two- and four-byte characters. */
const ALPHABET = [..."abcdefghijklmnopqrstuvwxyz \"'\\\t\n\r,{}é中😀\u2028"];
const random = mulberry32(hash(life));

function textOf(length) {
  let text = "";
  for (let i = random() * length; i > 1; i--) text += ALPHABET[Math.floor(random() * ALPHABET.length)];
  return text;
}

function record(n) {
  const key = `${life}-${n}`;
  const type = types[n % types.length];
  const text = textOf(textLength);
  const path = `/orders/${n}`;
  const actor = `user-${n % 97}`;
  tell(`try ${key} ${contentHash(type, path, actor, key, text)}`);
  const request = { method: "GET", url: path, headers: {}, socket: { remoteAddress: "192.0.2.7" } };
  const failed = () => {
    state.refused++;
    tell(`no ${key}`);
  };
  try {
    const receipt = security.recordSecurityEvent(type, request, { actor, key, text });
    state.recorded++;
    return receipt[wait].then(() => {
      state.acknowledged++;
      tell(`ack ${key}`);
    }, failed);
  } catch {
    failed();
  }
}

// The longest time that the event loop did not turn, measured by itself, and reported while there is somebody to report it.
let last = performance.now();
setInterval(() => {
  const now = performance.now();
  state.stall = Math.max(state.stall, now - last - 10);
  last = now;
}, 10).unref();
const report = () => process.send?.({ ...state, rss: process.memoryUsage.rss(), health: security.health() });
setInterval(report, 200).unref();

let stopped = false;
process.on("message", (message) => {
  if (message === "report") report();
  if (message === "stop") stopped = true;
  if (message.block !== undefined) for (const end = performance.now() + message.block; performance.now() < end; );
});
process.send?.("ready");

const waiting = new Set();
let roomMade = () => {};
for (let n = 1; n <= (count ?? Infinity) && !stopped; ) {
  for (let i = 0; i < perTurn && n <= (count ?? Infinity); i++, n++) {
    const done = record(n);
    if (done === undefined) continue;
    waiting.add(done);
    void done.then(() => {
      waiting.delete(done);
      roomMade();
    });
  }
  if (waiting.size >= inFlight) {
    await new Promise((resolve) => {
      roomMade = resolve;
    });
  }
  if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
  else await new Promise(setImmediate);
}
if (options.settle) await Promise.all(waiting);
process.send?.({ ...state, done: true, health: security.health() });
while (!stopped && close === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
const before = performance.now();
await security.close({ deadline: close ?? options.closeDeadline });
await Promise.all(waiting);
process.send?.({ ...state, closed: performance.now() - before, health: security.health() }, () => process.exit(0));
if (process.send === undefined) process.exit(0);

function hash(text) {
  let value = 2166136261;
  for (const character of text) value = Math.imul(value ^ character.charCodeAt(0), 16777619);
  return value >>> 0;
}

/** A small seeded generator (public domain, T. Ettinger). */
function mulberry32(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
