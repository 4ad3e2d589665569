/** Bounds what a collector holds in memory for its senders. */

/** Bytes that are taken until they are released. */
export class Room {
  readonly #most: number;
  readonly #waiting: { readonly bytes: number; readonly admit: () => void }[] = [];
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Takes room at once, and returns what releases it; `undefined` without enough. */
  tryTake(bytes: number): (() => void) | undefined {
    if (this.#taken + bytes > this.#most) return undefined;
    this.#taken += bytes;
    return this.#releaseOnce(bytes);
  }

  /** Waits for room, in order. @param bytes at most the whole room */
  async take(bytes: number): Promise<() => void> {
    if (this.#waiting.length > 0 || this.#taken + bytes > this.#most) {
      await new Promise<void>((admit) => this.#waiting.push({ bytes, admit }));
    } else {
      this.#taken += bytes;
    }
    return this.#releaseOnce(bytes);
  }

  #releaseOnce(bytes: number): () => void {
    let held = bytes;
    return () => {
      this.#taken -= held;
      held = 0;
      for (let [next] = this.#waiting; next !== undefined; [next] = this.#waiting) {
        if (this.#taken + next.bytes > this.#most) return;
        this.#taken += next.bytes;
        this.#waiting.shift();
        next.admit();
      }
    };
  }
}
