/**
 * The shipper's thread, as the file that `start-worker.ts` finds: the package's entry `seclog/worker`. It is not named
 * `worker.js`, since it may lie in the folder of an application's bundle.
 */
import { BUILT_IN_HANDLERS } from "./built-in-handlers.ts";
import { startShipping } from "./ship/worker.ts";

startShipping(BUILT_IN_HANDLERS);
