/**
 * The faults, in the order of their numbers. Each is an object:
 *
 * - `number`, `name`; `runs: { full, short }`
 * - `needs()`: a sentence when this machine cannot do it, and why: then it is skipped, aloud
 * - `issue`: what brings that which it needs, when that does not exist yet
 * - `control`: for a negative control, the columns of which one must not be zero
 * - `run(context)`: see run.js
 */
import { KILL_FAULTS } from "./kill.js";

export const FAULTS = [...KILL_FAULTS];
