import { join } from "node:path";
import type { RecordReader, ShipSource } from "../../../packages/seclog/src/ship/ship-source.ts";
import type { Ownership } from "../../../packages/seclog/src/spool/ownership.ts";

export const ROOT = "/spool";
export const HANDLERS = ["first", "second"] as const;

/** The model of one source. */
export class Source {
  readonly id: string;
  readonly directory: string;
  readonly payloads: string[] = [];
  /** The last number that was said to be on disk or, since its process was killed, to be written: the machine is up. */
  durable = 0;
  /** The last number that was said to be written. */
  written = 0;
  /** The last number that was said to be on disk when its process was killed. */
  onDisk: number | undefined;
  alive = true;
  /** What each handler has: given, or reported as damaged. The handlers are not of this machine, and never crash. */
  readonly stored: [number, number] = [0, 0];
  /** A handler's cursor was damaged: when the first segment's header is, too, what was deleted looks missing. */
  readonly forgotten: [boolean, boolean] = [false, false];
  /** A damaged tail took numbers with it that nothing speaks of any more. */
  readonly excused: [boolean, boolean] = [false, false];
  /** A segment was cut short: no count of bytes fits any more. */
  cut = false;

  constructor(id: string) {
    this.id = id;
    this.directory = join(ROOT, id);
  }
}

/** A source that is shipped by the process that runs. */
export interface Shipped {
  readonly source: Source;
  readonly files: ShipSource;
  readonly owned: Ownership;
  readonly acknowledged: [number, number];
  readonly readers: [RecordReader | undefined, RecordReader | undefined];
  readonly ended: [boolean, boolean];
  freed: number;
}
