/** Starts and ends servers: what every server of this program has in common. */
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { errorMessage } from "seclog";
import { InputError } from "../text/input-error.ts";

/** The address to listen on. */
export interface ListenAddress {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
}

/** A running server. */
export interface HttpService {
  /** `http://host:port`. */
  readonly url: string;
  /** Stops accepting requests; resolves once the running ones have completed, or are cut off after `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

const CLOSE_GRACE_MS = 2_000;

/**
 * Listens.
 *
 * @throws SeclogError `SECLOG_CONFIG` when it cannot listen there
 */
export async function startListening(
  server: Server,
  listen: ListenAddress,
  scheme: "http" | "https" = "http",
): Promise<HttpService> {
  server.listen(listen.port, listen.host);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new InputError((named) => `${named("listen")} ${listen.host}:${listen.port}: ${errorMessage(cause)}`, {
      cause,
    });
  }
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `${scheme}://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    async close(graceMs = CLOSE_GRACE_MS) {
      const closed = once(server, "close");
      server.close();
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}
