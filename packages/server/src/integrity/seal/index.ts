/** The sealer for programs that run it themselves; `seclog seal` is this with options. */
export { NoSealMemory, type SealMemory, SealMemoryFile } from "./memory.ts";
export { type RunSealerOptions, runSealer } from "./run.ts";
export type { SealedStep, SealStep } from "./sealer.ts";
