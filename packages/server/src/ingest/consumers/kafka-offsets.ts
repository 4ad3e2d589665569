/** A message of a partition that was passed on. */
interface Passed {
  readonly offset: bigint;
  readonly queuedAt: number;
  settled: boolean;
}

/** Whether a message of a partition is to be passed on: `"gap"` when one before it has not been. */
type Turn = "next" | "gap";

/**
 * What was passed on of one partition, in order. Kafka keeps one offset for it: what comes before counts as consumed. So
 * only the messages that are settled without a gap can be committed.
 *
 * kafkajs may go on with messages that it read before the group was spread anew, and then continue behind them. So their
 * order is checked here.
 */
class PartitionOffsets {
  readonly topic: string;
  readonly partition: number;
  #passed: Passed[] = [];
  #next: bigint;
  /** Where the consumer was sent back to. */
  #sought: bigint | undefined;
  /** The offset to commit: the first one that is not settled. */
  #committable: bigint | undefined;
  #committed: bigint | undefined;

  /** @param next the offset of the first message that is to come */
  constructor(topic: string, partition: number, next: bigint) {
    this.topic = topic;
    this.partition = partition;
    this.#next = next;
  }

  get next(): bigint {
    return this.#next;
  }

  /** Whether the message is the next one. A gap that remains when the consumer was sent back is the topic's own. */
  turn(offset: string): Turn {
    if (BigInt(offset) <= this.#next || this.#sought === this.#next) return "next";
    this.#sought = this.#next;
    return "gap";
  }

  /** A message is passed on. Returns what settles it. */
  pass(offset: string, queuedAt: number): () => void {
    // Back to before what was passed on, as when the topic was made again.
    if (BigInt(offset) < this.#next) this.#passed = [];
    const all = this.#passed;
    const passed: Passed = { offset: BigInt(offset), queuedAt, settled: false };
    all.push(passed);
    this.#next = passed.offset + 1n;
    return () => {
      passed.settled = true;
      if (all !== this.#passed) return;
      while (all[0]?.settled) this.#committable = (all.shift() as Passed).offset + 1n;
    };
  }

  /** The offset that is to be committed; `undefined` when it is. */
  get toCommit(): bigint | undefined {
    return this.#committable === this.#committed ? undefined : this.#committable;
  }

  committed(offset: bigint): void {
    this.#committed = offset;
  }

  /** When the oldest of what is not settled was queued. */
  get oldestQueuedAt(): number | undefined {
    return this.#passed.find(({ settled }) => !settled)?.queuedAt;
  }
}

/** The partitions of a worker, since it last joined the group. */
export class AssignedOffsets {
  readonly #partitions = new Map<string, PartitionOffsets>();
  readonly #starts: Promise<ReadonlyMap<string, bigint>>;

  /** @param starts where each partition begins, by {@link placeName} */
  constructor(starts: Promise<ReadonlyMap<string, bigint>>) {
    this.#starts = starts;
    starts.catch(() => {});
  }

  async of(topic: string, partition: number): Promise<PartitionOffsets> {
    const name = placeName(topic, partition);
    const starts = await this.#starts;
    let offsets = this.#partitions.get(name);
    if (offsets === undefined) {
      offsets = new PartitionOffsets(topic, partition, starts.get(name) ?? 0n);
      this.#partitions.set(name, offsets);
    }
    return offsets;
  }

  get partitions(): Iterable<PartitionOffsets> {
    return this.#partitions.values();
  }
}

export function placeName(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
