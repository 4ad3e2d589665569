/**
 * Cuts a stream of syslog into messages: with a count of octets before each (RFC 6587, 3.4.1; RFC 5425), or with a line's
 * end behind it. Each message shows by its first character which of the two it is.
 */

/** A sender does not keep to either framing, or its message is too long. */
class FramingError extends Error {}

const NEWLINE = 10;
const NUL = 0;
const ZERO = 48;
const NINE = 57;
const SPACE = 32;

export class SyslogFrames {
  readonly #most: number;
  #rest: Buffer = Buffer.alloc(0);
  #failure: string | undefined;

  /** @param most the longest message, in bytes */
  constructor(most: number) {
    this.#most = most;
  }

  /** Why nothing can be read any more: where the next message begins is unknown. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Takes what a connection received, and returns the messages that are whole now. */
  take(chunk: Buffer): readonly Buffer[] {
    const messages: Buffer[] = [];
    try {
      this.#cut(chunk, messages);
    } catch (error) {
      if (!(error instanceof FramingError)) throw error;
      this.#failure = error.message;
      this.#rest = Buffer.alloc(0);
    }
    return messages;
  }

  #cut(chunk: Buffer, messages: Buffer[]): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at < bytes.length) {
      const first = bytes[at] ?? 0;
      if (first === NEWLINE || first === NUL) {
        at += 1;
        continue;
      }
      const frame = first >= ZERO && first <= NINE ? this.#counted(bytes, at) : this.#ended(bytes, at);
      if (frame === undefined) break;
      if (frame.from < frame.to) messages.push(bytes.subarray(frame.from, frame.to));
      at = frame.end;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
  }

  /** What is left when the connection ends: a message whose end was never sent. */
  end(): readonly Buffer[] {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    const first = rest[0] ?? ZERO;
    return rest.length === 0 || (first >= ZERO && first <= NINE) ? [] : [rest];
  }

  #counted(bytes: Buffer, at: number): { from: number; to: number; end: number } | undefined {
    const space = bytes.subarray(at, at + MOST_DIGITS + 1).indexOf(SPACE);
    if (space < 0) {
      if (bytes.length - at > MOST_DIGITS) throw new FramingError("a count of octets has no end");
      return undefined;
    }
    const digits = bytes.toString("latin1", at, at + space);
    if (!/^[1-9]\d*$/.test(digits)) throw new FramingError("a count of octets is not a number");
    const length = Number(digits);
    if (length > this.#most) throw new FramingError(`a message of ${length} bytes is longer than ${this.#most}`);
    const from = at + space + 1;
    if (from + length > bytes.length) return undefined;
    // Some senders count, and end the line as well.
    let to = from + length;
    while (to > from && (bytes[to - 1] === NEWLINE || bytes[to - 1] === NUL)) to -= 1;
    return { from, to, end: from + length };
  }

  #ended(bytes: Buffer, at: number): { from: number; to: number; end: number } | undefined {
    const newline = bytes.indexOf(NEWLINE, at);
    const nul = bytes.indexOf(NUL, at);
    const end = newline < 0 ? nul : nul < 0 ? newline : Math.min(newline, nul);
    if ((end < 0 ? bytes.length : end) - at > this.#most) {
      throw new FramingError(`a message is longer than ${this.#most} bytes`);
    }
    if (end < 0) return undefined;
    const to = bytes[end - 1] === 13 ? end - 1 : end;
    return { from: at, to, end: end + 1 };
  }
}

const MOST_DIGITS = 7;
