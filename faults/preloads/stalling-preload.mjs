/**
 * For NODE_OPTIONS: harms an application's threads as an agent can, while the file that `FAULT_CONTROL` names says so.
 */
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread } from "node:worker_threads";

const control = process.env.FAULT_CONTROL;
const isOrdered = (order) => !isMainThread && existsSync(control) && readFileSync(control, "utf8") === order;

if (isOrdered("a preload throws")) throw new Error("by the fault's order");
while (isOrdered("a preload hangs")) await sleep(50);
while (isOrdered("a preload blocks"));
