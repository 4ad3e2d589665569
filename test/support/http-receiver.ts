/** A server of the tests that receives what a handler sends, and answers as a test says. */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

/** A request, with its body as it was before compression. */
export interface ReceivedRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** An answer: 200 and nothing else, unless it says so. */
export interface ReceiverAnswer {
  readonly status?: number;
  readonly headers?: { readonly [name: string]: string };
  readonly body?: string | Uint8Array;
}

/** A running receiver. */
export interface HttpReceiver {
  readonly url: string;
  readonly port: number;
  readonly requests: readonly ReceivedRequest[];
  /** Answers the next requests instead of the receiver, one each; `"hang"` never answers, `"reset"` cuts the connection. */
  readonly next: (ReceiverAnswer | "hang" | "reset")[];
  close(): Promise<void>;
}

/** Starts a receiver on 127.0.0.1; `answer` sees each request that `next` does not answer. */
export async function startReceiver(
  answer: (request: ReceivedRequest) => ReceiverAnswer | Promise<ReceiverAnswer> = () => ({}),
  tls?: { readonly cert: string; readonly key: string; readonly ca?: string; readonly requestCert?: boolean },
): Promise<HttpReceiver> {
  const requests: ReceivedRequest[] = [];
  const next: (ReceiverAnswer | "hang" | "reset")[] = [];
  const server: Server = (tls === undefined ? createServer() : createTlsServer({ ...tls })) as Server;
  server.on("request", async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    const isHttp = incoming.headers["content-encoding"] === "gzip" && incoming.method !== "PUT";
    const request: ReceivedRequest = {
      method: incoming.method ?? "",
      url: new URL(incoming.url ?? "/", "http://receiver"),
      headers: incoming.headers,
      body: isHttp ? gunzipSync(bytes) : bytes,
    };
    requests.push(request);
    const planned = next.shift();
    if (planned === "hang") return;
    if (planned === "reset") {
      incoming.socket.destroy();
      return;
    }
    const { status = 200, headers = {}, body = "" } = planned ?? (await answer(request));
    response.writeHead(status, headers).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    port,
    requests,
    next,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
