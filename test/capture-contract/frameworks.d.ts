import type { CaptureContractOptions } from "seclog/testing";

export const FRAMEWORKS: readonly (CaptureContractOptions & { readonly name: string })[];
