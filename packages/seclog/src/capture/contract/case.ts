/** What a case of the capture contract is. */
import type { CatalogueData } from "../../event/catalogue.ts";
import type { Level } from "../../event/level.ts";
import type { CaptureOptions } from "../capture.ts";
import type { ContractClient } from "./client.ts";

/** An event that a case leaves. */
export interface ExpectedCapture {
  readonly type: keyof CatalogueData;
  readonly level: Level;
  /** @default the response's status */
  readonly status?: number | undefined;
  readonly route?: string | undefined;
  /** In any order. */
  readonly allowed?: readonly string[] | undefined;
  readonly actor?: string | undefined;
  /**
   * `"peer"` where the client connects without a proxy.
   * @default "client"
   */
  readonly address?: "client" | "peer" | undefined;
  readonly count?: number | undefined;
  /** The members of `data` that the event has; `true` for any text. */
  readonly data?: { readonly [name: string]: string | number | true | readonly string[] } | undefined;
}

/** One case: what is sent, what the application may answer, and the events that follow. */
export interface CaptureCase {
  readonly title: string;
  /** The protocols that can express it. */
  readonly protocols: readonly ("http1" | "http2")[];
  /** Options of the capture, if they are not the defaults. */
  readonly options?: Pick<CaptureOptions, "detect" | "loginPath" | "honeypots">;
  /** Returns the status of the last response; nothing when the client did not wait for one. */
  run(client: ContractClient): Promise<number | undefined>;
  /** The statuses with which an application may refuse the request: if it answers another, the case proves nothing. */
  readonly answers?: readonly number[];
  readonly events: readonly ExpectedCapture[];
}

/** The parts of a case that differ from one request with one event. */
type Part = Partial<Omit<CaptureCase, "title" | "run">> & Pick<CaptureCase, "run" | "events">;

/** Completes cases, which are named by the property that holds them. */
export function casesOf(parts: { readonly [title: string]: Part }): readonly CaptureCase[] {
  return Object.entries(parts).map(([title, part]) => ({ title, protocols: ["http1", "http2"], ...part }));
}

export const HTTP1 = ["http1"] as const;

/** A JSON body. */
export function json(value: unknown): { readonly headers: { readonly "content-type": string }; readonly body: string } {
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(value) };
}
