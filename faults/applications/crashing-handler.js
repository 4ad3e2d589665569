/** A PostgreSQL handler whose thread crashes soon after it starts, each time in another way. */
import { postgresHandler } from "seclog/postgres";

/** Ways to end a worker thread from within. */
const CRASHES = [
  () => {
    throw new Error("the thread throws");
  },
  () => void Promise.reject(new Error("the thread rejects")),
  () => process.exit(1),
];

/** In the application: the handler only runs in the shipper's thread. */
export function crashingHandler(options) {
  const { name, required, inFlight, batchSize, worker } = postgresHandler(options);
  return {
    name,
    required,
    inFlight,
    batchSize,
    handle: () => Promise.reject(new Error("not on this thread")),
    close: () => Promise.resolve(),
    worker: { module: import.meta.url, options: worker.options },
  };
}

/** In the thread. */
export function createHandler(options) {
  const crash = CRASHES[Math.floor(Math.random() * CRASHES.length)];
  setTimeout(crash, 20 + Math.random() * 600);
  return postgresHandler(options);
}
