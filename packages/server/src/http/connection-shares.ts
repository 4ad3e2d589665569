/**
 * Shares a server's connections among addresses. Without shares, one address can occupy every connection by sending
 * nothing, or a header or a body that never ends, and so lock out everyone else.
 *
 * - Each address has a share. An IPv6 /64, which is what one subscriber gets, counts as one address.
 * - Clients that wait for us keep their connections; clients that we wait for lose theirs first. At the limit we close a
 *   connection with an unfinished header, else one between two requests, else one with an unfinished body, else one whose
 *   client does not read the response: the oldest one of the address that has the most. So a newcomer gets in as long as
 *   we wait for any client.
 */
import type { Socket } from "node:net";

/** The most open connections. */
export interface ConnectionLimits {
  /** In total. @default 512 */
  readonly total?: number;
  /** From one address, or one IPv6 /64. @default 64 */
  readonly perAddress?: number;
}

/** The stages in which a connection may be closed, the most expendable first; never while we respond. */
const EXPENDABLE = ["header", "idle", "body", "sent"] as const;
type Stage = (typeof EXPENDABLE)[number] | "response";

interface Connection {
  readonly socket: Socket;
  readonly address: string;
  stage: Stage;
}

export class ConnectionShares {
  readonly #total: number;
  readonly #perAddress: number;
  /** Oldest first. */
  readonly #connections = new Map<Socket, Connection>();
  readonly #counts = new Map<string, number>();

  constructor({ total = 512, perAddress = 64 }: ConnectionLimits = {}) {
    this.#total = total;
    this.#perAddress = perAddress;
  }

  /** Counts a new connection; at a limit, closes another connection or this one. */
  admit(socket: Socket): void {
    const address = shareOf(socket.remoteAddress);
    const ofAddress = (connection: Connection): boolean => connection.address === address;
    if (this.#countOf(address) >= this.#perAddress && !this.#closeOne(ofAddress)) {
      socket.destroy();
      return;
    }
    if (this.#connections.size >= this.#total && !this.#closeOne(() => true)) {
      socket.destroy();
      return;
    }
    this.#connections.set(socket, { socket, address, stage: "header" });
    this.#counts.set(address, this.#countOf(address) + 1);
    socket.once("close", () => this.#forget(socket));
  }

  /** Sets the stage of a connection. */
  enter(socket: Socket, stage: Stage): void {
    const connection = this.#connections.get(socket);
    if (connection !== undefined) connection.stage = stage;
  }

  /** Closes the most expendable connection; `false` if we are responding on all of them. */
  #closeOne(among: (connection: Connection) => boolean): boolean {
    for (const stage of EXPENDABLE) {
      let chosen: Connection | undefined;
      for (const connection of this.#connections.values()) {
        if (connection.stage !== stage || !among(connection)) continue;
        if (chosen === undefined || this.#countOf(connection.address) > this.#countOf(chosen.address))
          chosen = connection;
      }
      if (chosen === undefined) continue;
      // Forgotten now: the close event comes later.
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

/** The key of a share: an IPv4 address, even if mapped to IPv6, or the first 64 bits of an IPv6 address. */
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
