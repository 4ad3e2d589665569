/** The messages and shared memory between the application's thread and the shipper's worker. */
import { isMainThread, type MessagePort, workerData } from "node:worker_threads";
import type { ErrorCode } from "../event/errors.ts";
import type { BatchSource, FailureKind } from "./handler.ts";
import type { NetworkDefaults } from "./network-defaults.ts";
import type { ShippingHealth, ShippingNews } from "./news.ts";

/** The worker's start data. */
export interface WorkerStart {
  /** The version of the application's seclog. Also the mark by which a thread knows that it is a shipper. */
  readonly seclog: string;
  /** A private port: on `parentPort`, a preload, a hook or an instrumentation may send anything. */
  readonly port: MessagePort;
  readonly root: string;
  readonly sourceId: string;
  readonly epoch: number;
  readonly key: string;
  /** See {@link SHARED}. */
  readonly shared: SharedArrayBuffer;
  /** Of {@link Progress}. */
  readonly progress: SharedArrayBuffer;
  /** Absent if no handler runs in the thread. */
  readonly network: NetworkDefaults | undefined;
  /** How the handlers were doing when the thread before this one ended. */
  readonly before: readonly ShippingHealth[];
  readonly handlers: readonly WorkerHandler[];
}

/** Whether this is a shipper's thread, whatever code runs in it. */
export function isShipperThread(): boolean {
  return !isMainThread && typeof (workerData as Partial<WorkerStart> | null)?.seclog === "string";
}

/** A handler as the worker receives it: how to create it, or that it runs on the application's thread. */
export interface WorkerHandler {
  readonly name: string;
  readonly inFlight: number | undefined;
  readonly batchSize: number | undefined;
  readonly hasQuarantine: boolean;
  readonly make: { readonly module: string; readonly options: unknown } | undefined;
}

/** The places of the shared BigInt64Array. */
export const SHARED = {
  /** The last number that is on disk. Written by the application's thread. */
  synced: 0,
  /** Bytes of this source's segments that were deleted. Written by the worker. */
  freed: 1,
  /** Bytes of dead processes' segments that are still there. Written by the worker. */
  adopted: 2,
  /** 1 while the worker waits and wants to be woken. */
  waiting: 3,
  /** Bytes of the segments of other processes. Written by the worker. */
  others: 4,
  /** The newest segment that is complete. Written by the application's thread. */
  closed: 5,
  length: 6,
} as const;

export type ToWorker =
  | { readonly type: "wake" }
  | { readonly type: "drain"; readonly id: number; readonly deadline: number }
  | { readonly type: "stop" }
  /** A segment is complete, and may already have been fully shipped. */
  | { readonly type: "closed" }
  | { readonly type: "reply"; readonly id: number; readonly failure: CallFailure | undefined };

export type FromWorker =
  | ShippingNews
  | { readonly type: "drained"; readonly id: number; readonly complete: boolean }
  | { readonly type: "stopped" }
  | {
      readonly type: "call";
      readonly id: number;
      readonly handler: number;
      readonly source: BatchSource;
      readonly firstSeq: number;
      readonly lengths: readonly number[];
      readonly bytes: Uint8Array;
      readonly quarantine: string | undefined;
    }
  | { readonly type: "abort"; readonly id: number };

/** A handler's failure, as it crosses between the threads. */
export interface CallFailure {
  readonly kind: FailureKind;
  readonly code: ErrorCode;
  readonly message: string;
  readonly stored: number | undefined;
}
