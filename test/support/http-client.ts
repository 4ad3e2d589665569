/** A server on a free port, and requests to it: proper ones and raw bytes. */
import { once } from "node:events";
import http from "node:http";
import net, { type AddressInfo } from "node:net";

/** A response. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Parts of a request other than method and path. */
export interface Sent {
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string;
}

/** Listens on a free port of 127.0.0.1 and returns the port. */
export async function listen(server: net.Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** Closes a server together with its connections. */
export async function closeServer(server: http.Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

/** Sends one request on a connection of its own, with the path unchanged. */
export async function send(
  port: number,
  method: string,
  path: string,
  { headers = {}, body }: Sent = {},
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const request = http.request({ port, host: "127.0.0.1", method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Sends bytes that no HTTP client would, and returns everything received until the server closes. */
export async function sendRaw(port: number, bytes: string | Buffer, host: string = "127.0.0.1"): Promise<string> {
  const socket = net.connect(port, host);
  let text = "";
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    text += chunk;
  });
  // The server may reset the connection after its response.
  socket.on("error", () => {});
  socket.write(bytes);
  await once(socket, "close");
  return text;
}
