/** The HTTP response that code writes to a socket itself: status and headers of the first bytes. */
import type { Socket } from "node:net";

/** The head of a response. */
export interface SocketAnswer {
  readonly statusCode: number;
  readonly header: (name: string) => string | undefined;
}

/** More of a head than a refusal has. */
const LONGEST_HEAD = 4_096;

/** Observes what is written to a socket until `stop`; returns the first bytes, `undefined` before any. */
export function observeWrites(socket: Socket, wrote: () => void = () => {}): { stop(): string | undefined } {
  let first: unknown;
  let seen = false;
  const restore = (["write", "end"] as const).map((name) => {
    const own = Object.getOwnPropertyDescriptor(socket, name);
    const original = socket[name] as (...values: unknown[]) => unknown;
    const observed = (...values: unknown[]): unknown => {
      const begins = !seen && values[0] !== undefined && typeof values[0] !== "function";
      if (begins) {
        seen = true;
        first = values[0];
      }
      const result = Reflect.apply(original, socket, values);
      if (begins) wrote();
      return result;
    };
    Object.defineProperty(socket, name, { value: observed, configurable: true, writable: true });
    return () => {
      // Code that wrapped the method after us keeps what it has.
      if (socket[name] !== observed) return;
      if (own === undefined) Reflect.deleteProperty(socket, name);
      else Object.defineProperty(socket, name, own);
    };
  });
  return {
    stop() {
      for (const end of restore) end();
      if (typeof first === "string") return first.slice(0, LONGEST_HEAD);
      return Buffer.isBuffer(first) ? first.toString("latin1", 0, LONGEST_HEAD) : undefined;
    },
  };
}

/** The status of a response's first line; `undefined` for anything but an HTTP response. */
export function statusOfHead(head: string | undefined): number | undefined {
  const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(head ?? "") ?? [];
  return status === undefined ? undefined : Number(status);
}

/** Calls back once, with the response that is written to a socket; not for one that closes without. */
export function watchAnswer(socket: Socket, answered: (answer: SocketAnswer) => void): void {
  const observed = observeWrites(socket, () => {
    const head = observed.stop();
    const statusCode = statusOfHead(head);
    if (statusCode !== undefined) answered({ statusCode, header: (name) => headerOf(head ?? "", name) });
  });
  socket.once("close", () => observed.stop());
}

function headerOf(head: string, name: string): string | undefined {
  for (const line of head.split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    if (line.slice(0, colon).trim().toLowerCase() === name) return line.slice(colon + 1).trim();
  }
  return undefined;
}
