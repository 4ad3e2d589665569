/**
 * The application under fault. It records events turn after turn, and reports each to the ledger before the call and
 * when its promise resolves. Its options come as JSON in `FAULT_APP` (see `startApp` in world.js).
 */
import { createSecurityLog } from "seclog";
import { collectorHandler } from "seclog/collector";
import { postgresHandler } from "seclog/postgres";
import { dataOf, eventSource, LOG, requestOf, stallMeter } from "../events.js";
import { crashingHandler } from "./crashing-handler.js";
import { queueHandler } from "./queue-handler.js";
import { stallingHandler } from "./stalling-handler.js";

const options = JSON.parse(process.env.FAULT_APP);
const { count, perTurn, inFlight, pause, wait, spool, handler, close } = options;
const events = eventSource(options);
const stall = stallMeter();
const state = { recorded: 0, acknowledged: 0, refused: 0, thrown: 0, rss: 0, failures: {} };

const makeHandler = options.collector
  ? () => collectorHandler(options.collector)
  : options.queue
    ? queueHandler
    : options.stalls
      ? stallingHandler
      : options.crashes
        ? crashingHandler
        : postgresHandler;
const security = createSecurityLog({
  ...LOG,
  spool,
  handlers: [await makeHandler({ url: process.env.SECLOG_DATABASE_URL, ...options.queue, ...handler })],
  durability: options.durability,
  onFull: options.onFull,
  diagnostics: ({ code }) => {
    state.failures[code] = (state.failures[code] ?? 0) + 1;
  },
});

function record(n) {
  const event = events.begin(n);
  const failed = () => {
    state.refused++;
    events.refused(event);
  };
  try {
    const receipt = security.recordSecurityEvent(event.type, requestOf(event), dataOf(event));
    state.recorded++;
    return receipt[wait].then(() => {
      state.acknowledged++;
      events.acknowledged(event);
      if (state.acknowledged === options.diesAt) process.kill(process.pid, "SIGKILL");
    }, failed);
  } catch {
    state.thrown++;
    failed();
  }
}

/** Reading it takes a descriptor, and some faults leave none. */
const residentBytes = () => {
  try {
    return process.memoryUsage.rss();
  } catch {
    return 0;
  }
};

/** Reports to the parent while there is one. */
const report = (more = {}, sent) =>
  process.connected &&
  process.send(
    {
      ...state,
      stall: stall.longest,
      stretch: stall.stretch,
      rss: residentBytes(),
      health: security.health(),
      ...more,
    },
    sent,
  );
setInterval(report, 200).unref();

let stopped = false;
for (const signal of options.signals) {
  process.once(signal, () => {
    stopped = true;
  });
}

/** Ways to leave the process without a close, in the middle of a turn whose events are only in memory. */
const LEAVE = {
  exit: () => process.exit(3),
  throw: () => {
    process.nextTick(() => {
      throw new Error("not caught");
    });
  },
  reject: () => void Promise.reject(new Error("not handled")),
  /** The natural end: nothing is left to do. */
  end: () => {
    stopped = true;
    process.exitCode = 5;
    process.disconnect();
  },
};

/** Takes memory until the process dies. */
const eaten = [];
const EAT = {
  heap: () => eaten.push(Array.from({ length: 1024 * 1024 }, (_, i) => i + 0.5)),
  memory: () => eaten.push(Buffer.alloc(8 * 1024 * 1024, 1)),
};

/** Set while the application pauses. */
let idle;
let resume = () => {};
const pauseIt = () => {
  idle = new Promise((resolve) => {
    resume = resolve;
  });
};

process.on("message", (message) => {
  if (message === "report") report();
  if (message === "pause") pauseIt();
  if (message === "resume") resume();
  if (message === "stop") {
    stopped = true;
    resume();
  }
  if (message.block !== undefined) for (const end = performance.now() + message.block; performance.now() < end; );
  if (message.eat !== undefined) setInterval(EAT[message.eat], 5);
});
process.send?.("ready");

const waiting = new Set();
let roomMade = () => {};
for (let n = 1; n <= (count ?? Infinity) && !stopped; ) {
  for (let i = 0; i < perTurn && n <= (count ?? Infinity); i++, n++) {
    const done = record(n);
    if (n === options.leave?.at) LEAVE[options.leave.how]();
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
  await idle;
}
if (options.leave?.how !== "end") await finish();

async function finish() {
  if (options.settle) await Promise.all(waiting);
  // In every report from now on, since the parent may miss a single one.
  state.done = true;
  report();
  while (!stopped && close === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
  const before = performance.now();
  await security.close({ deadline: close ?? options.closeDeadline });
  await Promise.all(waiting);
  report({ closed: performance.now() - before }, () => process.exit(0));
  if (process.send === undefined) process.exit(0);
}
