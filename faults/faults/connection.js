/** What networks do to the connection between the shipper and PostgreSQL. */
import { setTimeout as sleep } from "node:timers/promises";
import { PostgresProxy, REFUSE } from "../proxy.js";
import { expectStored, handlerOf, isCommit, isCommitted, LOAD, STORED, shippedSince } from "../server.js";

/** Small batches: some are always waiting, and two are under way whenever a pause lets them pile up. */
const SMALL_BATCHES = { ...LOAD, ...STORED, handler: { batchSize: 10 } };
/** Commits in the run whose messages are counted: each of the two connections makes some. */
const COMMITS = 6;

/** Runs a fault with an application that reaches PostgreSQL through a proxy. */
async function throughProxy({ world: create, finish, expect }, options, use) {
  const world = await create();
  const proxy = await PostgresProxy.start(world.server.port);
  try {
    const app = await world.startApp(options, { url: proxy.through(world.database.writerUrl) });
    await app.until((state) => handlerOf(state)?.shipped > 0);
    await use({ app, proxy, world });
    const state = await app.close();
    expect(handlerOf(state)?.behind === 0, `the application ended with ${handlerOf(state)?.behind} events unshipped`);
    await finish(world);
  } finally {
    await proxy.end();
  }
}

/** Resolves when the proxy has seen a message that `wanted` accepts; the proxy may cut there. */
function seen(proxy, wanted, deadline = 60_000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no such message within ${deadline} ms`)), deadline);
    proxy.trap = (message) => {
      const { over, cut } = wanted(message);
      if (over) {
        clearTimeout(timer);
        proxy.trap = undefined;
        resolve();
      }
      return cut;
    };
  });
}

/** The messages of fresh connections up to the reply to the last commit. */
async function messagesOfARun(proxy) {
  const messages = [];
  let commits = 0;
  proxy.cut();
  await seen(proxy, (message) => {
    messages.push(message);
    if (isCommitted(message)) commits++;
    return { over: commits === COMMITS };
  });
  return messages;
}

/**
 * Three kinds of cuts: around a commit and its reply, when only the server knows its outcome, or when it never arrived;
 * after each message of fresh connections; and within messages, at random bytes.
 */
function cutsOf(messages) {
  const commits = Array.from({ length: COMMITS }, (_, index) => index + 1);
  const hows = ["reset", "end", "half", "late"];
  return [
    commits.flatMap((nth) => [
      ...hows.map((how) => ({ commit: nth, how })),
      { commit: nth, how: "reset", part: 0 },
      { answer: nth, how: "reset", part: 0 },
    ]),
    messages.flatMap(({ from }, index) =>
      (from === "client" ? ["reset", "late"] : [index % 2 === 0 ? "reset" : "half"]).map((how) => ({
        number: index + 1,
        how,
      })),
    ),
    Array.from({ length: 60 }, (_, index) => ({
      number: 1 + Math.floor(Math.random() * messages.length),
      how: index % 2 === 0 ? "reset" : "end",
      part: Math.random(),
    })),
  ];
}

/** `count` evenly spaced items of a list, or all of it. */
function spread(list, count) {
  return list.length <= count
    ? list
    : Array.from({ length: count }, (_, i) => list[Math.floor(((i + 0.5) * list.length) / count)]);
}

export const CONNECTION_FAULTS = [
  {
    number: 16,
    name: "connection cut at every message of the protocol",
    // A third for each kind of cut; a kind with fewer cuts runs whole.
    runs: { full: 1_000, short: 15 },
    async run(context) {
      const { runs, ran, note, expect } = context;
      await throughProxy(context, SMALL_BATCHES, async ({ app, proxy, world }) => {
        const messages = await messagesOfARun(proxy);
        const cuts = cutsOf(messages).flatMap((list) => spread(list, Math.ceil(runs / 3)));
        let inDoubt = 0;
        let late = 0;
        for (const { how, part, ...where } of cuts) {
          let isCut = false;
          const at = { number: 0, commit: 0, answer: 0 };
          proxy.cut();
          await seen(proxy, (message) => {
            at.number++;
            if (isCommit(message)) at.commit++;
            if (isCommitted(message)) at.answer++;
            if (isCut) return { over: isCommitted(message) };
            // Cut at the n-th message of any kind, or at the n-th commit itself.
            isCut =
              at.number === where.number ||
              (isCommit(message) && at.commit === where.commit) ||
              (isCommitted(message) && at.answer === where.answer);
            if (!isCut) return {};
            const pass = part === undefined ? message.data.length : Math.floor(part * message.data.length);
            if (isCommit(message) ? pass === message.data.length : isCommitted(message) && pass === 0) inDoubt++;
            if (isCommit(message) && how === "late") late++;
            return { cut: { how, pass } };
          });
          ran();
        }
        await expectStored(world, expect, "after the cuts");
        // Otherwise the store would seem older than what was acknowledged.
        const { SECLOG_STORE_BEHIND: behind = 0 } = app.state.failures;
        expect(behind === 0, `${behind} times the handler had acknowledged more than was stored`);
        note(
          `${messages.length} messages from connecting to the ${COMMITS}th commit; ${cuts.length} cuts, ${inDoubt} of ` +
            `them between COMMIT and its answer; ${late} times the server got the COMMIT once the client was back`,
        );
      });
    },
  },
  {
    number: 18,
    name: "black hole between shipper and PostgreSQL",
    runs: { full: 4, short: 1 },
    async run(context) {
      const { runs, ran, expect } = context;
      const options = { ...LOAD, handler: { batchSize: 50, connectTimeout: 500, statementTimeout: 500 } };
      await throughProxy(context, options, async ({ app, proxy }) => {
        for (let run = 0; run < runs; run++) {
          const before = app.state;
          await sleep(Math.random() * 200);
          proxy.stall();
          // Nothing notifies it: it must give up by its own clock, reconnect, and give up again.
          const state = await app.until(({ health }) => health.handlers[0].retries >= handlerOf(before).retries + 2);
          expect(handlerOf(state).status === "retrying", `the handler is ${handlerOf(state).status}, not retrying`);
          expect(state.health.status === "degraded", `health() says ${state.health.status}, not degraded`);
          expect(state.failures.SECLOG_HANDLER_RETRY > 0, "diagnostics got no SECLOG_HANDLER_RETRY");
          await app.until(({ acknowledged }) => acknowledged > state.acknowledged);
          proxy.resume();
          await shippedSince(app);
          ran();
        }
      });
    },
  },
  {
    number: 19,
    name: "PostgreSQL takes 10 KB/s",
    runs: { full: 1, short: 1 },
    async run(context) {
      const { ran, expect, note, short } = context;
      // Far more than the line carries, so that the spool grows. A batch cannot pass within the handler's timeout, so
      // the handler has to find the size of transaction that can.
      const options = { perTurn: 20, pause: 20, textLength: 50, handler: { batchSize: 200, statementTimeout: 3_000 } };
      await throughProxy(context, options, async ({ app, proxy, world }) => {
        await app.until(({ recorded }) => recorded > 1_000);
        const before = app.state;
        const rows = async () => (await world.query("SELECT count(*)::int AS count FROM security_event_log"))[0].count;
        proxy.rate = 10_000;
        // Lets what was under way pass.
        await sleep(1_000);
        const stored = await rows();
        const start = performance.now();
        const seconds = () => (performance.now() - start) / 1_000;
        let rss = 0;
        let passed = 0;
        while (seconds() < (short ? 8 : 30) || passed === 0) {
          await sleep(200);
          rss = Math.max(rss, app.state.rss);
          passed = (await rows()) - stored;
          if (seconds() > 120) throw new Error("nothing passed within 120 s");
        }
        const grown = app.state.health.spooledBytes - before.health.spooledBytes;
        note(
          `in ${Math.round(seconds())} s at 10 KB/s ${passed} events passed, the spool grew by ${mega(grown)} and the ` +
            `application's memory from ${mega(before.rss)} to at most ${mega(rss)}`,
        );
        expect(app.state.acknowledged > before.acknowledged + 1_000, "the application was held up");
        expect(rss < before.rss + 150e6, `memory grew from ${mega(before.rss)} to ${mega(rss)}`);
        proxy.rate = undefined;
        await shippedSince(app);
        ran();
      });
    },
  },
  {
    number: 35,
    name: "links that die after so many bytes",
    runs: { full: 6, short: 1 },
    async run(context) {
      const { runs, ran, expect, note, short } = context;
      await throughProxy(context, LOAD, async ({ app, proxy, world }) => {
        for (let run = 0; run < runs; run++) {
          // Far more than one link carries, in one batch.
          const { recorded } = app.state;
          proxy.trap = REFUSE;
          proxy.cut();
          await app.until((state) => state.recorded > recorded + (short ? 300 : 2_000));
          const links = proxy.connections;
          proxy.budget = 10_000 + Math.floor(Math.random() * 30_000);
          proxy.trap = undefined;
          await shippedSince(app);
          const took = proxy.connections - links;
          expect(took > 3, `${took} links of ${proxy.budget} bytes sufficed: none died on the way`);
          note(`${app.state.recorded - recorded} events through ${took} links of ${proxy.budget} bytes`);
          proxy.budget = undefined;
          proxy.cut();
          await shippedSince(app);
          ran();
        }
        await expectStored(world, expect, "through links that died");
      });
    },
  },
  {
    number: 39,
    name: "the server's timeouts are shorter than a batch takes",
    runs: { full: 3, short: 1 },
    async run(context) {
      const { runs, ran, expect } = context;
      await throughProxy(context, { ...LOAD, handler: { batchSize: 400 } }, async ({ app, proxy, world }) => {
        const limits = await world.query(
          `SELECT name FROM pg_settings WHERE name IN ('transaction_timeout', 'statement_timeout', 'lock_timeout',
             'idle_in_transaction_session_timeout', 'idle_session_timeout') ORDER BY name`,
        );
        for (const { name } of limits)
          await world.query(`ALTER DATABASE ${world.database.name} SET ${name} = '${LIMIT_MS}ms'`);
        for (let run = 0; run < runs; run++) {
          const { recorded } = app.state;
          proxy.trap = REFUSE;
          proxy.cut();
          await app.until((state) => state.recorded > recorded + 500);
          const before = handlerOf(app.state).shipped;
          // A batch of 400 now takes some seconds.
          proxy.rate = 100_000;
          proxy.trap = undefined;
          await app.until((state) => handlerOf(state).shipped >= before + 400);
          const { lastError } = handlerOf(app.state);
          expect(!/25P04|25P03|57014/.test(lastError?.message), `a timeout ended a batch: ${lastError?.message}`);
          proxy.rate = undefined;
          await shippedSince(app);
          ran();
        }
        for (const { name } of limits) await world.query(`ALTER DATABASE ${world.database.name} RESET ${name}`);
      });
    },
  },
];

/** In fault 39, shorter than a batch takes on its line. */
const LIMIT_MS = 1_000;

const mega = (bytes) => `${Math.round(bytes / 1e6)} MB`;
