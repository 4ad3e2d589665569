/**
 * Who may hold how many connections of a server. Without shares one address keeps everybody out with as many connections as
 * the server takes, by sending nothing on them, or a header or a body that never ends.
 *
 * - An address has its share; of IPv6 a /64, which is what one subscriber gets, is one address.
 * - Whoever waits for us is served; whoever we wait for goes first. Where there are too many connections, one that has not
 *   sent all of its request's header is closed, else one between two requests, else one whose body is still to come, else one
 *   that does not read its answer: the oldest one of the address that has most. So a newcomer gets in as long as anybody is
 *   waited for.
 */
import type { Socket } from "node:net";

/** The most connections at a time. */
export interface ConnectionLimits {
  /** Of all. @default 512 */
  readonly total?: number;
  /** Of one address, or one /64 of IPv6. @default 64 */
  readonly perAddress?: number;
}

/** What a connection is at, in the order in which they are given up; those that are answered are never. */
const GIVEN_UP = ["header", "idle", "body", "sent"] as const;
type Stage = (typeof GIVEN_UP)[number] | "answer";

interface Connection {
  readonly socket: Socket;
  readonly address: string;
  stage: Stage;
}

export class ConnectionShares {
  readonly #total: number;
  readonly #perAddress: number;
  /** In the order in which they came. */
  readonly #connections = new Map<Socket, Connection>();
  readonly #counts = new Map<string, number>();

  constructor({ total = 512, perAddress = 64 }: ConnectionLimits = {}) {
    this.#total = total;
    this.#perAddress = perAddress;
  }

  /** Counts a new connection, and closes another one or itself where there are too many. */
  admit(socket: Socket): void {
    const address = shareOf(socket.remoteAddress);
    const ofAddress = (connection: Connection): boolean => connection.address === address;
    if (this.#countOf(address) >= this.#perAddress && !this.#giveUp(ofAddress)) {
      socket.destroy();
      return;
    }
    if (this.#connections.size >= this.#total && !this.#giveUp(() => true)) {
      socket.destroy();
      return;
    }
    this.#connections.set(socket, { socket, address, stage: "header" });
    this.#counts.set(address, this.#countOf(address) + 1);
    socket.once("close", () => this.#forget(socket));
  }

  /** Notes what a connection is at from now on. */
  enter(socket: Socket, stage: Stage): void {
    const connection = this.#connections.get(socket);
    if (connection !== undefined) connection.stage = stage;
  }

  /** Closes the one that can be missed best; `false` when all of them are being answered. */
  #giveUp(among: (connection: Connection) => boolean): boolean {
    for (const stage of GIVEN_UP) {
      let chosen: Connection | undefined;
      for (const connection of this.#connections.values()) {
        if (connection.stage !== stage || !among(connection)) continue;
        if (chosen === undefined || this.#countOf(connection.address) > this.#countOf(chosen.address))
          chosen = connection;
      }
      if (chosen === undefined) continue;
      // Forgotten at once: the event comes later.
      this.#forget(chosen.socket);
      chosen.socket.destroy();
      return true;
    }
    return false;
  }

  #countOf(address: string): number {
    return this.#counts.get(address) ?? 0;
  }

  #forget(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    this.#connections.delete(socket);
    const left = this.#countOf(connection.address) - 1;
    if (left > 0) this.#counts.set(connection.address, left);
    else this.#counts.delete(connection.address);
  }
}

/** What shares one share: an IPv4 address, also in IPv6, or the first 64 bits of an IPv6 address. */
export function shareOf(remoteAddress: string | undefined): string {
  const address = (remoteAddress ?? "").replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array.from({ length: zeros }, () => "0"), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}
