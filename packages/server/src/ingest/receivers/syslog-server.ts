/**
 * Listens for syslog over UDP, TCP and TLS. Its senders have no tokens: which sender they are is a setting of the
 * listener. Nothing in syslog acknowledges a message. Over TCP and TLS a connection is not read while the spool is full;
 * what arrives over UDP is then counted as dropped.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { errorMessage, SeclogError } from "seclog";
import { type ConnectionLimits, ConnectionShares } from "../../http/connection-shares.ts";
import type { Certificate } from "../../http/fetch-service.ts";
import type { ListenAddress } from "../../http/service.ts";
import type { Received } from "./received-event.ts";
import { SyslogFrames } from "./syslog-frames.ts";
import { syslogEvent } from "./syslog-message.ts";

/** The longest message: RFC 5425 asks for 8,192 bytes at least. */
const MOST_MESSAGE_BYTES = 64 * 1024;

/** A connection on which nothing came for so long is closed, in milliseconds. */
const IDLE_MS = 15 * 60_000;

/** How often a full spool is asked again. */
const FULL_MS = 200;

export interface SyslogOptions {
  readonly protocol: "udp" | "tcp" | "tls";
  readonly listen: ListenAddress;
  readonly connections?: ConnectionLimits | undefined;
  /** For TLS. */
  readonly certificate?: Certificate | undefined;
  /** Authorities whose certificates clients must have, in PEM. Without them, any client may connect. */
  readonly clientAuthorities?: string | undefined;
  /** Records messages; `false` if there is no room for any at the moment. */
  readonly take: (events: readonly Received[]) => boolean;
  /** Messages that could not be taken. */
  readonly onDropped: (count: number, why: string) => void;
}

/** A running listener. */
export interface SyslogServer {
  /** `udp://host:port`. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Starts a listener.
 *
 * @throws SeclogError `SECLOG_CONFIG` when it cannot listen there
 */
export async function startSyslog(options: SyslogOptions): Promise<SyslogServer> {
  return options.protocol === "udp" ? await startUdp(options) : await startTcp(options);
}

async function startUdp(options: SyslogOptions): Promise<SyslogServer> {
  const { listen, take, onDropped } = options;
  const socket: UdpSocket = createSocket(listen.host.includes(":") ? "udp6" : "udp4");
  socket.on("message", (bytes) => {
    if (!take([syslogEvent(bytes)])) onDropped(1, "the spool is full");
  });
  socket.bind(listen.port, listen.host);
  await listening(socket, options);
  socket.on("error", (error) => onDropped(0, errorMessage(error)));
  return {
    url: urlOf("udp", socket.address()),
    async close() {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
}

async function startTcp(options: SyslogOptions): Promise<SyslogServer> {
  const { listen, protocol, certificate, clientAuthorities } = options;
  const shares = new ConnectionShares(options.connections);
  const open = new Set<Socket>();
  const stop = new AbortController();
  const onConnection = (socket: Socket): void => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    void readConnection(socket, options, stop.signal);
  };
  const server: Server =
    protocol === "tls"
      ? createTlsServer(
          {
            ...certificate,
            handshakeTimeout: 10_000,
            ...(clientAuthorities !== undefined && {
              ca: clientAuthorities,
              requestCert: true,
              rejectUnauthorized: true,
            }),
          },
          onConnection,
        )
      : createServer(onConnection);
  server.on("connection", (socket: Socket) => shares.admit(socket));
  server.listen(listen.port, listen.host);
  await listening(server, options);
  return {
    url: urlOf(protocol, server.address() as AddressInfo),
    async close() {
      stop.abort();
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** Records what a connection sends, chunk by chunk: an iterator reads the next one only when this one is recorded. */
async function readConnection(socket: Socket, options: SyslogOptions, stop: AbortSignal): Promise<void> {
  const frames = new SyslogFrames(MOST_MESSAGE_BYTES);
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  try {
    for await (const chunk of socket) {
      await takeAll(frames.take(chunk as Buffer), options, stop);
      if (frames.failure !== undefined) return options.onDropped(1, frames.failure);
    }
    await takeAll(frames.end(), options, stop);
  } catch {
    // A client that goes away in the middle of a message.
  } finally {
    socket.destroy();
  }
}

async function takeAll(
  messages: readonly Buffer[],
  { take, onDropped }: SyslogOptions,
  stop: AbortSignal,
): Promise<void> {
  if (messages.length === 0) return;
  const events = messages.map((message) => syslogEvent(message));
  while (!take(events)) {
    if (stop.aborted) return onDropped(events.length, "the collector was stopped while its spool was full");
    await sleep(FULL_MS, undefined, { signal: stop }).catch(() => {});
  }
}

async function listening(socket: Server | UdpSocket, { protocol, listen }: SyslogOptions): Promise<void> {
  try {
    await once(socket, "listening");
  } catch (cause) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `--syslog ${protocol}://${listen.host}:${listen.port}: ${errorMessage(cause)}`,
      { cause },
    );
  }
}

function urlOf(protocol: string, { address, port, family }: AddressInfo): string {
  return `${protocol}://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
