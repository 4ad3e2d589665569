import type { CaptureContractOptions } from "seclog/testing";

export const nextFramework: CaptureContractOptions;
/** Builds the application once for the process, and returns its folder. */
export function builtNext(): Promise<string>;
