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
  /** The last number reported on disk, or as written if its process was killed since: the machine stays up. */
  durable = 0;
  /** The last number reported as written. */
  written = 0;
  /** The last number reported on disk when its process was killed. */
  onDisk: number | undefined;
  alive = true;
  /** What each handler has received or seen reported as damaged. The handlers run elsewhere, and never crash. */
  readonly stored: [number, number] = [0, 0];
  /** A handler's cursor was damaged: if the first segment's header is damaged as well, deleted events look missing. */
  readonly forgotten: [boolean, boolean] = [false, false];
  /** A damaged tail took numbers with it that nothing records any more. */
  readonly excused: [boolean, boolean] = [false, false];
  /** A segment was cut short: byte counts no longer agree. */
  cut = false;

  constructor(id: string) {
    this.id = id;
    this.directory = join(ROOT, id);
  }
}

/** A source that the running process ships. */
export interface Shipped {
  readonly source: Source;
  readonly files: ShipSource;
  readonly owned: Ownership;
  readonly acknowledged: [number, number];
  readonly readers: [RecordReader | undefined, RecordReader | undefined];
  readonly ended: [boolean, boolean];
  freed: number;
}
