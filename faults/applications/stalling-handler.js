/**
 * A PostgreSQL handler that does not ship while the file that `FAULT_CONTROL` names holds an order; in the shipper's
 * thread, or on the application's.
 */
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread } from "node:worker_threads";
import { HandlerError } from "seclog/handler";
import { postgresHandler } from "seclog/postgres";

const control = process.env.FAULT_CONTROL;
const isOrdered = (order) => existsSync(control) && readFileSync(control, "utf8") === order;
const isOrderedHere = (order) => !isMainThread && isOrdered(order);

if (isOrderedHere("the module throws")) throw new Error("by the fault's order");
while (isOrderedHere("the module hangs")) await sleep(50);

const eaten = [];

/** What a call of the handler does instead of shipping. */
const CALLS = {
  "a call never settles": async (order) => {
    while (isOrdered(order)) await sleep(50);
  },
  "a call blocks the thread": (order) => {
    while (isOrdered(order));
  },
  "a call ends the thread": () => process.exit(0),
  "a call takes all memory": () => {
    for (;;) eaten.push(Array.from({ length: 100_000 }, (_, i) => i + 0.5));
  },
  "the quarantine fails": () => {
    throw new HandlerError("event", "by the fault's order");
  },
};

async function obey() {
  for (const [order, act] of Object.entries(CALLS)) if (isOrdered(order)) await act(order);
}

/** @param {{ onMainThread?: boolean, url: string }} options */
export function stallingHandler({ onMainThread = false, ...options }) {
  const handler = obedient(postgresHandler(options));
  return onMainThread ? handler : { ...handler, worker: { module: import.meta.url, options } };
}

function obedient(handler) {
  return {
    name: handler.name,
    required: handler.required,
    inFlight: handler.inFlight,
    batchSize: handler.batchSize,
    handle: async (batch, signal) => {
      await obey();
      await handler.handle(batch, signal);
    },
    quarantine: async (record, signal) => {
      if (isOrdered("the quarantine fails")) throw new Error("by the fault's order");
      await handler.quarantine(record, signal);
    },
    close: () => handler.close(),
  };
}

async function make(options) {
  if (isOrdered("createHandler() throws")) throw new Error("by the fault's order");
  while (isOrdered("createHandler() hangs")) await sleep(50);
  return obedient(postgresHandler(options));
}

export const createHandler = isOrderedHere("createHandler() is missing") ? undefined : make;
