/**
 * The faults, ordered by number. Each is an object:
 *
 * - `number`, `name`; `runs: { full, short }`
 * - `needs()`: returns why this machine cannot run the fault, if it cannot; the run then prints that it was skipped
 * - `alone`: runs by itself: its application is measured, or another fault could disturb it
 * - `comesWith`: the part of the product it waits for
 * - `control`: marks a negative control, and lists the columns at least one of which must not be zero
 * - `run(context)`: see run.js
 */
import { COLLECT_FAULTS } from "./collect.js";
import { CONNECTION_FAULTS } from "./connection.js";
import { DISK_FAULTS } from "./disk.js";
import { HEALTH_FAULTS } from "./health.js";
import { HOSTILE_FAULTS } from "./hostile.js";
import { KILL_FAULTS } from "./kill.js";
import { OUTAGE_FAULTS } from "./outage.js";
import { POOLER_FAULTS } from "./pooler.js";
import { POSTGRES_FAULTS } from "./postgres.js";
import { POWER_FAULTS } from "./power.js";
import { PROCESS_FAULTS } from "./process.js";
import { QUEUE_CLUSTER_FAULTS } from "./queue-clusters.js";
import { QUEUE_STRANGER_FAULTS } from "./queue-strangers.js";
import { QUEUE_FAULTS } from "./queues.js";
import { SEAL_FAULTS } from "./seal.js";
import { SEIZED_FAULTS } from "./seized.js";
import { SPOOL_FAULTS } from "./spool.js";
import { STATE_FAULTS } from "./state.js";
import { STRANGE_FAULTS } from "./strange.js";
import { SYSCALL_FAULTS } from "./syscalls.js";
import { THREAD_FAULTS } from "./threads.js";

/** 1, 2, … 20a, 20b, …, then the numbers that start with a letter. */
const byNumber = (a, b) => String(a.number).localeCompare(String(b.number), "en", { numeric: true });

export const FAULTS = [
  ...KILL_FAULTS,
  ...COLLECT_FAULTS,
  ...CONNECTION_FAULTS,
  ...OUTAGE_FAULTS,
  ...POOLER_FAULTS,
  ...POSTGRES_FAULTS,
  ...POWER_FAULTS,
  ...STATE_FAULTS,
  ...PROCESS_FAULTS,
  ...QUEUE_FAULTS,
  ...QUEUE_STRANGER_FAULTS,
  ...QUEUE_CLUSTER_FAULTS,
  ...SEAL_FAULTS,
  ...SEIZED_FAULTS,
  ...DISK_FAULTS,
  ...HEALTH_FAULTS,
  ...HOSTILE_FAULTS,
  ...SPOOL_FAULTS,
  ...STRANGE_FAULTS,
  ...THREAD_FAULTS,
  ...SYSCALL_FAULTS,
].sort(byNumber);
