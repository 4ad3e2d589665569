/** The sealer, for programs that run it themselves. `seclog seal` adds options. */

export { type RunSealerOptions, runSealer } from "./run.ts";
export type { SealedStep, SealStep } from "./sealer.ts";
export { NoSealerState, type SealerState, SealerStateFile } from "./state.ts";
