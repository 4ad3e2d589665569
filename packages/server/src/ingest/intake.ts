/**
 * The one way from a queue into the database.
 *
 * A message waits in the line of its source until its predecessors are stored, and is acknowledged after COMMIT. What was
 * delivered twice, or is already stored, is recognised by (source, seq). The lines do not wait for each other.
 *
 * A message whose predecessor is missing waits for a bounded time. Then it depends on its sender: one that keeps its events
 * until they are stored sends them again from the stored position, so the message is dropped; one that does not (`queued`)
 * has lost the predecessor once the queue has, so the message goes back for some time, until the missing numbers are put on
 * record as lost and the source continues behind them.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { errorMessage, SeclogError } from "seclog";
import type { RelaySource, RelayStore } from "seclog/postgres";
import { decodeEnvelope, decodePosition, encodePosition, isPositionMessage } from "seclog/queues";
import type { SenderKey } from "../config/queue.ts";
import type { DeadReason, Delivery } from "./consumer.ts";
import type { IntakeEvent } from "./intake-event.ts";
import { type Held, SourceLine } from "./source-line.ts";

/** Options of {@link Intake}. */
export interface IntakeOptions {
  readonly store: RelayStore;
  /** With any, plain envelopes are buried. */
  readonly keys: readonly SenderKey[];
  /** Sends a position message back to the sender of a source. */
  readonly answer: (sourceId: string, message: Uint8Array) => Promise<void>;
  /** Milliseconds that a message waits here for its predecessor. @default 5000 */
  readonly earlyWaitMs?: number;
  /** Milliseconds after which missing events of a sender that keeps no copy count as lost. @default 120000 */
  readonly lostAfterMs?: number;
  /** The most messages that it holds. @default {@link MOST_HELD} */
  readonly mostHeld?: number;
  /** Once it aborts, `take` waits for nothing any more: its caller takes no more messages, and calls `stop`. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: IntakeEvent) => void;
}

/** The most messages, and bytes of them before decompression, that an intake holds. */
export const MOST_HELD = 256;
const MOST_HELD_BYTES: number = 64 * 1024 * 1024;

/** How long a message that only a newer program or another key can read is given back to others, in milliseconds. */
const UNREADABLE_MS = 10_000;
/** How often. */
const UNREADABLE_ATTEMPTS = 5;

/** How long to wait before the engine is asked again to take a message back, in milliseconds. */
const INSIST_MS = 1_000;

/** Sources whose line has been empty are forgotten beyond this many: their position is in the database. */
const MOST_IDLE = 10_000;

export class Intake {
  readonly #options: IntakeOptions;
  readonly #lines = new Map<string, SourceLine>();
  readonly #stop = new AbortController();
  #held = 0;
  #bytes = 0;
  readonly #room = new Set<() => void>();

  constructor(options: IntakeOptions) {
    this.#options = options;
    // Each line and each statement listens to it.
    setMaxListeners(0, this.#stop.signal);
    options.signal.addEventListener("abort", () => this.#freeRoom(), { signal: this.#stop.signal });
  }

  /** Messages that are held: received, and neither stored nor given back. */
  get held(): number {
    return this.#held;
  }

  /** Takes a message. Resolves when there is room for the next one; never rejects. */
  async take(delivery: Delivery): Promise<void> {
    if (delivery.attempts > 1) this.#options.onEvent({ kind: "redelivered" });
    if (isPositionMessage(delivery.bytes)) await this.#takeQuestion(delivery);
    else await this.#takeEnvelope(delivery);
    while (!this.#ending && (this.#held >= this.#mostHeld || this.#bytes >= MOST_HELD_BYTES)) {
      await new Promise<void>((resolve) => this.#room.add(resolve));
    }
  }

  /** Ends the running transactions, and gives back what they have not committed. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#freeRoom();
    await Promise.all([...this.#lines.values()].map((line) => line.stop()));
  }

  async #takeQuestion(delivery: Delivery): Promise<void> {
    try {
      const { sourceId, nonce, kind, keyId } = decodePosition(
        delivery.bytes,
        this.#options.keys.map(({ key }) => key),
      );
      if (kind !== "asked")
        throw new SeclogError("SECLOG_ENVELOPE", "an answer is in the queue, where only questions go");
      this.#hold(0);
      this.#line(sourceId).ask(nonce, keyId, async (how) => {
        this.#release(0);
        if (how === "done") await quietly(delivery.done());
        else await this.#insist(() => delivery.release(0));
      });
    } catch (error) {
      await this.#refuse(delivery, error);
    }
  }

  async #takeEnvelope(delivery: Delivery): Promise<void> {
    let held: Held;
    try {
      const envelope = decodeEnvelope(delivery.bytes, { keys: this.#options.keys.map(({ key }) => key) });
      const sender = this.#options.keys.find(({ key }) => key.id === envelope.keyId)?.sender ?? "";
      const source: RelaySource = { ...envelope.source, sender };
      const size = envelope.kind === "events" ? envelope.records.reduce((sum, { length }) => sum + length, 0) : 0;
      held = {
        envelope,
        source,
        size,
        since: performance.now(),
        settle: async (how) => {
          this.#release(size);
          if (how === "done") await quietly(delivery.done());
          else if (how === "release") await this.#insist(() => delivery.release(this.#earlyWaitMs));
          else await this.#bury(delivery, how);
        },
      };
    } catch (error) {
      await this.#refuse(delivery, error);
      return;
    }
    this.#hold(held.size);
    this.#line(held.source.id).add(held);
  }

  get #ending(): boolean {
    return this.#stop.signal.aborted || this.#options.signal.aborted;
  }

  get #mostHeld(): number {
    return this.#options.mostHeld ?? MOST_HELD;
  }

  get #earlyWaitMs(): number {
    return this.#options.earlyWaitMs ?? 5_000;
  }

  #line(sourceId: string): SourceLine {
    let line = this.#lines.get(sourceId);
    if (line === undefined) {
      this.#forgetIdle();
      line = new SourceLine(sourceId, {
        store: this.#options.store,
        signal: this.#stop.signal,
        earlyWaitMs: this.#earlyWaitMs,
        lostAfterMs: this.#options.lostAfterMs ?? 120_000,
        onEvent: this.#options.onEvent,
        answer: (seq, nonce, keyId) => this.#answer(sourceId, seq, nonce, keyId),
      });
      this.#lines.set(sourceId, line);
    }
    return line;
  }

  #forgetIdle(): void {
    if (this.#lines.size < MOST_IDLE) return;
    for (const [id, line] of this.#lines) if (line.idle) this.#lines.delete(id);
  }

  /** Tells the sender how far its source is stored, signed with the key that it used. When that is lost, the sender asks. */
  async #answer(sourceId: string, seq: number, nonce: number, keyId: string | undefined): Promise<void> {
    const keys = this.#options.keys.map(({ key }) => key).filter(({ id }) => id === keyId);
    await quietly(this.#options.answer(sourceId, encodePosition({ kind: "stored", sourceId, seq, nonce }, keys)));
  }

  /** A message that cannot be read. What a newer program or another key may read is given back for a while. */
  async #refuse(delivery: Delivery, error: unknown): Promise<void> {
    const code = error instanceof SeclogError ? error.code : "SECLOG_ENVELOPE";
    if (code !== "SECLOG_ENVELOPE" && delivery.attempts < UNREADABLE_ATTEMPTS) {
      await this.#insist(() => delivery.release(UNREADABLE_MS));
      return;
    }
    await this.#bury(delivery, { code, message: errorMessage(error) });
  }

  async #bury(delivery: Delivery, reason: DeadReason): Promise<void> {
    this.#options.onEvent({ kind: "buried", reason });
    await this.#insist(() => delivery.bury(reason));
  }

  /** Tries until the engine takes it, or this intake stops: until then the message is in the queue as received. */
  async #insist(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work();
      } catch {
        if (this.#stop.signal.aborted) return;
        await sleep(INSIST_MS, undefined, { signal: this.#stop.signal, ref: false }).catch(() => {});
      }
    }
  }

  #hold(bytes: number): void {
    this.#held += 1;
    this.#bytes += bytes;
  }

  #release(bytes: number): void {
    this.#held -= 1;
    this.#bytes -= bytes;
    this.#freeRoom();
  }

  #freeRoom(): void {
    for (const resolve of this.#room) resolve();
    this.#room.clear();
  }
}

/** When the engine does not hear it, it delivers the message again, which does no harm. */
async function quietly(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch {
    // The consumer's own loop notices a lost connection.
  }
}
