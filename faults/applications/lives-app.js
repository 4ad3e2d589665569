/**
 * An application that opens logs one after the other on its parent's commands, each with a spool of its own: for faults
 * with hundreds of points, where a process for each would take an hour. It reports to the ledger as app.js does. With
 * the preload inject.js, a command's `inject` says which call fails.
 */
import { readdirSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createSecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { drainSpool } from "seclog/spool";
import { contentHash } from "../check.js";
import { dataOf, LOG, openLedger, requestOf, rowOf } from "../events.js";
import { arm } from "../preloads/inject.js";

const ledger = openLedger(JSON.parse(process.env.FAULT_APP).ledger);
const enter = (line) => writeSync(ledger, `${line} ${Date.now()}\n`);
const logs = new Map();
/** 62 KiB per event, so that few of them fill a segment; compressible, so that the database has little to store. */
const PAD = Array(7).fill("x".repeat(8_000));

/** Opens a log, records events in several turns, and waits until each is acknowledged or refused. */
async function open({
  life,
  directory,
  url,
  count = 3,
  perTurn = 4,
  padded = false,
  unacknowledged = false,
  inject,
  close,
}) {
  const state = { recorded: 0, acknowledged: 0, refused: 0, failures: {} };
  process.env.FAULT_INJECT = inject === undefined ? "" : JSON.stringify(inject);
  arm(inject);
  let security;
  try {
    security = createSecurityLog({
      ...LOG,
      spool: { directory, segmentBytes: 1024 * 1024 },
      durability: { authz_change: "process" },
      handlers: [url === null ? NOWHERE : postgresHandler({ url })],
      diagnostics: ({ code }) => {
        state.failures[code] = (state.failures[code] ?? 0) + 1;
      },
    });
  } catch (error) {
    return { ...state, error: error.message, code: error.code };
  } finally {
    process.env.FAULT_INJECT = "";
  }
  const waiting = [];
  for (let n = 1; n <= count; n++) {
    const key = `${life}-${n}`;
    const event = {
      key,
      // Durability "disk" and "process" by turns.
      type: n % 2 === 1 ? "authz_fail" : "authz_change",
      log: LOG,
      outcome: "failure",
      method: "POST",
      path: `/orders/${n}`,
      ip: "192.0.2.7",
      status: 403,
      actor: `user-${n}`,
      text: `${key} "${"é😀\t".repeat(n)}`,
      more: padded ? PAD : undefined,
    };
    enter(`try ${key} ${contentHash(rowOf(event))}`);
    const receipt = security.recordSecurityEvent(event.type, requestOf(event), dataOf(event));
    state.recorded += 1;
    waiting.push(
      receipt.durable.then(
        () => {
          state.acknowledged += 1;
          if (!unacknowledged) enter(`ack ${key}`);
        },
        () => {
          state.refused += 1;
          enter(`no ${key}`);
        },
      ),
    );
    if (n % perTurn === 0) await Promise.race([Promise.all(waiting), sleep(20)]);
  }
  await Promise.all(waiting);
  logs.set(life, { security, state, directory });
  return close === undefined ? { ...state, health: security.health() } : await end({ life, deadline: close });
}

/** Closes a log. What it could not ship stays in the spool. */
async function end({ life, deadline }) {
  const { security, state } = logs.get(life);
  await security.close({ deadline });
  logs.delete(life);
  arm(undefined);
  return { ...state, health: security.health() };
}

/** Resolves to true when the log's spool holds no source but its own, to false at the deadline. */
async function adopted({ life, deadline }) {
  const { security, directory } = logs.get(life);
  const until = performance.now() + deadline;
  const others = () => readdirSync(directory).some((name) => name.length === 36 && name !== security.sourceId);
  while (others() && performance.now() < until) await sleep(10);
  return !others();
}

/** Ships what is left, as `seclog ship` does. */
async function drain({ directory, url, inject, deadline }) {
  arm(inject);
  const failures = [];
  const onFailure = ({ code }) => failures.push(code);
  const signal = AbortSignal.timeout(deadline);
  try {
    return {
      ...(await drainSpool({ directory, handlers: [postgresHandler({ url })], signal, onFailure })),
      failures,
      late: signal.aborted,
    };
  } catch (error) {
    return { error: error.message, code: error.code, failures, late: signal.aborted };
  } finally {
    arm(undefined);
  }
}

/** A database that is down, for spools that must stay full. It saves the thread a connection. */
const NOWHERE = {
  name: "postgres",
  handle: () => Promise.reject(new Error("away")),
  close: () => Promise.resolve(),
};

const commands = { open, end, adopted, drain };
process.on("message", ({ id, name, options }) => {
  commands[name](options).then(
    (result) => process.send({ id, result }),
    (error) => process.send({ id, thrown: error.stack ?? String(error) }),
  );
});
process.send("ready");
process.on("disconnect", () => process.exit());
