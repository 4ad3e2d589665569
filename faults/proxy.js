/**
 * A TCP proxy on 127.0.0.1 between a client and PostgreSQL. It knows where the protocol's messages begin and end, and
 * misbehaves at any of them as networks do.
 */
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * @typedef {object} Message of PostgreSQL's protocol, version 3; nothing is encrypted here
 * @property {"client" | "server"} from its sender
 * @property {string} type its first byte; empty for the message that opens a connection, which has no type
 * @property {Buffer} data all its bytes
 */

/**
 * @typedef {object} Cut
 * @property {"reset" | "end" | "half" | "late"} how `reset`: RST to both ends. `end`: FIN to both. `half`: RST to the
 *   client; the server notices only {@link LATE_MS} later. `late`: as `half`, but a client's message still reaches the
 *   server at that time, like a packet that was delayed on its way
 * @property {number} [pass] how many bytes of the message pass; all by default
 */

/**
 * @typedef {object} Held
 * @property {Promise<Message>} met resolves when a message is held
 * @property {() => void} release lets it pass
 */

/** How much later the server notices a `half` or `late` cut, in milliseconds: the client has reconnected meanwhile. */
const LATE_MS = 250;

/**
 * A trap that lets no connection through, as when PostgreSQL is down.
 *
 * @returns {Cut}
 */
export const REFUSE = () => ({ how: "reset", pass: 0 });

export class PostgresProxy {
  /** Connections made through it so far. */
  connections = 0;
  /**
   * Called with every whole message before it passes. May cut the connection there, or hold the message until the
   * returned promise resolves.
   *
   * @type {((message: Message) => Cut | Promise<undefined> | undefined) | undefined}
   */
  trap;
  /**
   * The most bytes per second in each direction of a connection.
   *
   * @type {number | undefined}
   */
  rate;
  /**
   * The most bytes that a connection takes from a client before both ends are reset.
   *
   * @type {number | undefined}
   */
  budget;
  #stalled = false;
  #links = new Set();
  #server = createServer((client) => void this.#carry(client));
  #target;

  /**
   * @param {number} target a port of 127.0.0.1
   * @returns {Promise<PostgresProxy>}
   */
  static async start(target) {
    const proxy = new PostgresProxy();
    proxy.#target = target;
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  /** @returns {number} */
  get port() {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /**
   * The server's URL, through the proxy.
   *
   * @param {string} url
   */
  through(url) {
    const changed = new URL(url);
    changed.port = String(this.port);
    return changed.href;
  }

  /**
   * Holds the next message that `wanted` accepts, and everything after it in the same direction.
   *
   * @param {(message: Message) => boolean} wanted
   * @returns {Held}
   */
  hold(wanted) {
    let release = () => {};
    const released = new Promise((resolve) => {
      release = () => resolve(undefined);
    });
    const met = new Promise((resolve) => {
      this.trap = (message) => {
        if (!wanted(message)) return undefined;
        this.trap = undefined;
        resolve(message);
        return released;
      };
    });
    return { met, release };
  }

  /** Resets every connection. */
  cut() {
    for (const link of this.#links) reset(link);
  }

  /** A black hole: nothing that is sent arrives, and neither end is notified, until {@link resume}. */
  stall() {
    this.#stalled = true;
  }

  /** Ends the black hole, and the connections that fell into it. */
  resume() {
    this.#stalled = false;
    this.cut();
  }

  async end() {
    this.#server.close();
    this.cut();
    await once(this.#server, "close");
  }

  async [Symbol.asyncDispose]() {
    await this.end();
  }

  async #carry(client) {
    this.connections++;
    const link = { client, server: connect(this.#target, "127.0.0.1"), over: false, left: this.budget };
    for (const socket of [client, link.server]) {
      socket.setNoDelay();
      // The pump that reads from this socket sees the error as well.
      socket.on("error", () => {});
    }
    this.#links.add(link);
    await Promise.all([
      this.#pump(link, "client", client, link.server),
      this.#pump(link, "server", link.server, client),
    ]);
    this.#links.delete(link);
  }

  async #pump(link, from, sender, receiver) {
    const messages = new Messages(from === "client");
    try {
      for await (const chunk of sender) {
        for (const { type, data } of messages.add(chunk)) {
          if (link.over || this.#stalled) continue;
          const cut = (await this.trap?.({ from, type, data })) ?? spend(link, from, data);
          // Checked again: the message may have been held for long.
          if (link.over || this.#stalled) continue;
          if (cut === undefined) await this.#pass(receiver, data);
          else await this.#cut(link, receiver, data, cut);
        }
      }
    } catch {
      // One of the two ends has closed the connection.
    }
    if (link.over || this.#stalled) return;
    receiver.destroySoon();
  }

  async #pass(receiver, data) {
    let left = data;
    while (this.rate !== undefined && left.length > 0) {
      const slice = Math.ceil(this.rate / 20);
      receiver.write(left.subarray(0, slice));
      left = left.subarray(slice);
      await sleep(50);
    }
    if (left.length > 0 && !receiver.write(left))
      await Promise.race([once(receiver, "drain"), once(receiver, "close")]);
  }

  async #cut(link, receiver, data, { how, pass = data.length }) {
    link.over = true;
    const part = data.subarray(0, pass);
    const late = how === "late" && receiver === link.server;
    if (!late && part.length > 0) await new Promise((resolve) => receiver.write(part, () => resolve()));
    if (how === "reset") {
      reset(link);
    } else if (how === "end") {
      link.client.end();
      link.server.end();
    } else {
      link.client.resetAndDestroy();
      await sleep(LATE_MS);
      if (late) link.server.end(part);
      else link.server.end();
    }
  }
}

/** Splits the bytes of one direction of a connection into messages. */
class Messages {
  #rest = Buffer.alloc(0);
  #hasType;

  constructor(fromClient) {
    // A client's first message, which opens the connection, has no type.
    this.#hasType = !fromClient;
  }

  /** @returns {Generator<{ type: string, data: Buffer }>} */
  *add(chunk) {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const head = this.#hasType ? 1 : 0;
      if (this.#rest.length < head + 4) return;
      const end = head + this.#rest.readInt32BE(head);
      if (this.#rest.length < end) return;
      const data = this.#rest.subarray(0, end);
      this.#rest = this.#rest.subarray(end);
      this.#hasType = true;
      yield { type: data.latin1Slice(0, head), data };
    }
  }
}

/** Deducts a client's bytes from its connection's budget, and cuts the connection where that is used up. */
function spend(link, from, data) {
  if (from !== "client" || link.left === undefined) return undefined;
  const pass = link.left;
  link.left -= data.length;
  return link.left < 0 ? { how: "reset", pass } : undefined;
}

function reset(link) {
  link.over = true;
  link.client.resetAndDestroy();
  link.server.resetAndDestroy();
}
