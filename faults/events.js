/** The events that the fault tests' applications record, and how they report them to the ledger. */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { contentHash } from "./check.js";

/** Characters that have broken other programs: quotes, tabs, COPY's own escapes, two- and four-byte characters. */
const ALPHABET = [..."abcdefghijklmnopqrstuvwxyz \"'\\\t\n\r,{}é中😀\u2028"];

/** User agents, with quotes and other scripts. */
const AGENTS = [undefined, "curl/8.5.0", 'Mozilla/5.0 (X11; "Linux") Gecko/2010 Firefox/131.0', "агент 😀\u2028 é\\N"];
/** A method that is not registered: it is stored in a column of its own. */
const OTHER_METHOD = "BREW";
const METHODS = ["GET", "POST", OTHER_METHOD, "PATCH"];
const OUTCOMES = ["success", "failure", "unknown"];
/** The options that identify the log; all differ, so that swapped columns show. */
export const LOG = { name: "faults-log", service: "faults", environment: "trial", host: "machine.example" };
/** The catalogue's entries for the recorded types. */
const KINDS = {
  authz_fail: { category: "authz", level: "critical" },
  authz_change: { category: "authz", level: "warning" },
};

/**
 * Makes events with unique keys, and reports each to the ledger before it is recorded.
 *
 * @param {{ life: string, ledger: string, types: readonly string[], textLength: number, plain?: boolean }} options
 *   `plain`: only with facts that any logger can keep
 */
export function eventSource({ life, ledger, types, textLength, plain = false }) {
  const random = mulberry32(hash(life));
  const pipe = openLedger(ledger);
  const enter = (line) => writeSync(pipe, `${line} ${Date.now()}\n`);

  function textOf(length) {
    let text = "";
    for (let i = random() * length; i > 1; i--) text += ALPHABET[Math.floor(random() * ALPHABET.length)];
    return text;
  }

  return {
    /** Makes the n-th event, with what is known of its request, and writes its `try`. */
    begin(n, known = {}) {
      const event = {
        key: `${life}-${n}`,
        type: types[n % types.length],
        path: `/orders/${n}`,
        actor: `user-${n % 97}`,
        text: textOf(textLength),
        ...(plain ? {} : factsOf(n)),
        ...known,
      };
      enter(`try ${event.key} ${contentHash(rowOf(event))}`);
      return event;
    },
    acknowledged: ({ key }) => enter(`ack ${key}`),
    refused: ({ key }) => enter(`no ${key}`),
  };
}

/** A value for each column that a call or its request sets; most of them are absent in some events. */
function factsOf(n) {
  return {
    log: LOG,
    outcome: OUTCOMES[n % 3],
    method: METHODS[n % 4],
    ip: n % 5 === 0 ? `2001:db8::${(1 + (n % 999)).toString(16)}` : `192.0.2.${n % 256}`,
    userAgent: AGENTS[n % 4],
    host: n % 3 === 0 ? undefined : `shop-${n % 7}.example`,
    requestId: n % 2 === 0 ? undefined : `request-${n}`,
    trace: n % 3 === 2 ? undefined : traceOf(n),
    actorType: n % 2 === 0 ? "user" : undefined,
    target: n % 3 === 1 ? { id: `order-${n}`, type: "order" } : undefined,
    status: n % 4 === 3 ? undefined : 400 + (n % 100),
    route: n % 2 === 0 ? "/orders/:order" : undefined,
    allowedMethods: n % 6 === 5 ? "GET, HEAD" : undefined,
    ...(n % 8 === 7 ? { count: 1 + n, startedAt: n * 1_000, endedAt: n * 2_000 } : {}),
    more: n % 2 === 0 ? { n, list: [n / 8, null, `${n}`], "a b": { "é😀": n % 3 === 0, empty: {} } } : undefined,
  };
}

/** The ids in a `traceparent` (W3C Trace Context). */
const traceOf = (n) => ({ id: n.toString(16).padStart(32, "a"), span: n.toString(16).padStart(16, "b") });

/**
 * A request as Node presents it, for an event without one.
 *
 * @param {object} event
 */
export function requestOf({ method = "GET", path, ip = "192.0.2.7", userAgent, host, requestId, trace }) {
  const traceparent = trace === undefined ? undefined : `00-${trace.id}-${trace.span}-01`;
  const headers = { "user-agent": userAgent, host, "x-request-id": requestId, traceparent };
  return { method, url: path, headers, socket: { remoteAddress: ip } };
}

/**
 * The remaining arguments of the call that records an event.
 *
 * @param {object} event
 */
export function dataOf({ key, text, more, actor, actorType, target, status, startedAt, endedAt, ...event }) {
  const { outcome, route, allowedMethods, count } = event;
  return {
    ...{ key, text, more, target, outcome, route, allowedMethods, count },
    actor: actorType === undefined ? actor : { id: actor, type: actorType },
    statusCode: status,
    startedAt: startedAt === undefined ? undefined : new Date(startedAt),
    endedAt: endedAt === undefined ? undefined : new Date(endedAt),
  };
}

/** The values its row must have, by column. */
export function rowOf({ key, text, more, type, actor, target, ip, host, status, log, trace, ...event }) {
  const { outcome, method, path, route, allowedMethods, userAgent, requestId } = event;
  const { actorType, count, startedAt, endedAt } = event;
  const isOther = method === OTHER_METHOD;
  return {
    // Other loggers keep none of these.
    ...(log === undefined ? {} : { ...log, name: undefined, logger: log.name, ip_source: "socket", ...KINDS[type] }),
    ...{ outcome, path, route, count, event_type: type, status_code: status, ip_address: ip },
    ...{ method: isOther ? "_OTHER" : method, method_original: isOther ? method : undefined },
    ...{ trace_id: trace?.id, span_id: trace?.span },
    ...{ allowed_methods: allowedMethods, user_agent: userAgent, request_host: host, request_id: requestId },
    ...{ actor_id: actor, actor_type: actorType, target_id: target?.id, target_type: target?.type },
    ...{ started_at: startedAt, ended_at: endedAt, data: { key, text, ...(more === undefined ? {} : { more }) } },
  };
}

/**
 * Opens the ledger's pipe. The first, non-blocking open throws when the pipe has no reader; the second would wait for
 * ever.
 */
export function openLedger(path) {
  closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  return openSync(path, constants.O_WRONLY);
}

/** A user notices a request that waits this long, in milliseconds. */
const LONG_STALL_MS = 250;

/**
 * Measures from within how long the event loop stalls: the `longest` stall overall, and those of the current `stretch`,
 * which starts with a message `{ stretch: <its number> }`.
 */
export function stallMeter() {
  let last = performance.now();
  let began = last;
  let stretch = { number: 0, longest: 0, long: 0 };
  const meter = {
    longest: 0,
    /** The current stretch: its length in milliseconds, its longest stall, and how many of its stalls were long. */
    get stretch() {
      return { ...stretch, ms: last - began };
    },
  };
  const look = () => {
    const now = performance.now();
    const stall = now - last - 10;
    last = now;
    meter.longest = Math.max(meter.longest, stall);
    stretch.longest = Math.max(stretch.longest, stall);
    if (stall >= LONG_STALL_MS) stretch.long++;
  };
  setInterval(look, 10).unref();
  process.on("message", ({ stretch: number }) => {
    if (number === undefined) return;
    look();
    began = last;
    stretch = { number, longest: 0, long: 0 };
  });
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
