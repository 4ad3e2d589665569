/** What the applications of the fault tests record, and how they tell the ledger of it. */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { contentHash } from "./check.js";

/** Texts that have hurt others: quotes, tabs, COPY's own escapes, two- and four-byte characters. */
const ALPHABET = [..."abcdefghijklmnopqrstuvwxyz \"'\\\t\n\r,{}é中😀\u2028"];

/**
 * Makes events with keys that nobody else has, and tells the ledger of each before it is recorded.
 *
 * @param {{ life: string, ledger: string, types: readonly string[], textLength: number }} options
 */
export function eventSource({ life, ledger, types, textLength }) {
  const random = mulberry32(hash(life));
  const pipe = openLedger(ledger);
  const tell = (line) => writeSync(pipe, `${line}\n`);

  function textOf(length) {
    let text = "";
    for (let i = random() * length; i > 1; i--) text += ALPHABET[Math.floor(random() * ALPHABET.length)];
    return text;
  }

  return {
    /** The n-th event: `try` is told. */
    begin(n, path = `/orders/${n}`) {
      const event = {
        key: `${life}-${n}`,
        type: types[n % types.length],
        path,
        actor: `user-${n % 97}`,
        text: textOf(textLength),
      };
      tell(`try ${event.key} ${contentHash(event.type, path, event.actor, event.key, event.text)}`);
      return event;
    },
    acknowledged: ({ key }) => tell(`ack ${key}`),
    refused: ({ key }) => tell(`no ${key}`),
  };
}

/** The ledger's pipe. Throws when nobody reads it: without the first look the second would wait for ever. */
export function openLedger(path) {
  closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  return openSync(path, constants.O_WRONLY);
}

/** A request as Node has it, for an event that comes with none. */
export function requestOf({ path }) {
  return { method: "GET", url: path, headers: {}, socket: { remoteAddress: "192.0.2.7" } };
}

/** Measures how long the event loop did not turn, by the loop itself. */
export function stallMeter() {
  let last = performance.now();
  const meter = { longest: 0 };
  setInterval(() => {
    const now = performance.now();
    meter.longest = Math.max(meter.longest, now - last - 10);
    last = now;
  }, 10).unref();
  return meter;
}

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
