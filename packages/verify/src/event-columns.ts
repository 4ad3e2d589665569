/** The columns of an event, in the order of its canonical lines. Listed by hand, independently of the write path. */

type Kind = "text" | "time" | "integer" | "json";

/** How a column is written in a canonical line: `,"name":` and then its value. */
export interface Column {
  readonly name: string;
  readonly kind: Kind;
  /** `,"name":`, with the quote that opens a string: its length, and its bytes four at a time. */
  readonly length: number;
  readonly words: Int32Array;
}

const columns = (names: string): Column[] =>
  names.split(" ").map((name) => {
    const kind = KINDS.get(name) ?? "text";
    const before = Buffer.from(`,"${name}":${kind === "text" || kind === "time" ? '"' : ""}`);
    const padded = Buffer.concat([before, Buffer.alloc(4)]);
    const words = Int32Array.from({ length: Math.ceil(before.length / 4) }, (_, i) => padded.readInt32LE(4 * i));
    return { name, kind, length: before.length, words };
  });

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ...["occurred_at", "started_at", "ended_at", "created_at"].map((name) => [name, "time"] as const),
  ...["count", "epoch", "seq", "status_code", "v"].map((name) => [name, "integer"] as const),
  ...["data", "notes"].map((name) => [name, "json"] as const),
]);

/** Core columns, in the order of their line. */
export const CORE: readonly Column[] = columns(
  "allowed_methods category count ended_at environment epoch event_type host id level logger method occurred_at outcome route seq service source_id started_at status_code v",
);
/** Columns that the store sets. */
export const STORED: readonly Column[] = columns("created_at retention");
/** Personal columns. */
export const PERSONAL: readonly Column[] = columns(
  "actor_id actor_type data ip_address ip_chain ip_source method_original notes path request_host request_id span_id target_id target_type trace_id user_agent",
);

/** The columns that `RowReader` reads, in its order. */
export const EVENT_COLUMNS: readonly string[] = [
  ...CORE.map(({ name }) => name),
  "commitment",
  ...STORED.map(({ name }) => name),
  "salt",
  ...PERSONAL.map(({ name }) => name),
];
