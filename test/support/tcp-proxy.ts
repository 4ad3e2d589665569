import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A proxy on 127.0.0.1 that can misbehave as networks do. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections that were made through it so far. */
  readonly connections: number;
  /** Cuts every connection. */
  cut(): void;
  /** A black hole: what is sent arrives nowhere, and nothing is reported, until `resume`. */
  stall(): void;
  resume(): void;
  /** Cuts a connection when the server has been sent `text`, before (`"request"`) or after (`"answer"`) it got that. */
  cutAt(text: string, when: "request" | "answer"): void;
}

/** Starts a proxy to a port of 127.0.0.1. */
export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let connections = 0;
  let stalled = false;
  let trap: { readonly text: string; readonly when: "request" | "answer" } | undefined;
  const server = createServer((client) => {
    connections++;
    const upstream = connect(target, "127.0.0.1");
    const pair = [client, upstream] as const;
    pairs.add(pair);
    let mute = false;
    client.on("data", (data) => {
      if (stalled) return;
      if (trap !== undefined && data.includes(trap.text)) {
        const { when } = trap;
        trap = undefined;
        if (when === "request") {
          destroy(pair);
          return;
        }
        // The server works on it; its answer never comes.
        mute = true;
        upstream.once("data", () => destroy(pair));
      }
      upstream.write(data);
    });
    upstream.on("data", (data) => {
      if (!stalled && !mute) client.write(data);
    });
    for (const [one, other] of [pair, [upstream, client] as const]) {
      one.on("error", () => {});
      one.on("close", () => {
        pairs.delete(pair);
        if (!stalled) other.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const destroyAll = (): void => {
    for (const pair of pairs) destroy(pair);
  };
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    cut: destroyAll,
    stall: () => {
      stalled = true;
    },
    resume: () => {
      stalled = false;
      destroyAll();
    },
    cutAt: (text, when) => {
      trap = { text, when };
    },
    async [Symbol.asyncDispose]() {
      destroyAll();
      server.close();
      await once(server, "close");
    },
  };
}

function destroy(pair: readonly [Socket, Socket]): void {
  for (const socket of pair) socket.destroy();
}
