/**
 * Who is at the other end of a connection: an address, or the name {@link UNIX_PEER}, since a Unix socket's peer has no
 * address. A TCP connection that has broken has none either, so that one is missing proves nothing: only the server
 * says that it listens on a Unix socket.
 */

/** The peer of a Unix socket or a Windows named pipe, in place of an address. */
export const UNIX_PEER = "unix";

interface ConnectedSocket {
  readonly remoteAddress?: unknown;
  readonly server?: ListeningServer | undefined;
}

interface ListeningServer {
  readonly listening?: boolean;
  address?(): unknown;
}

/** The peer of a socket, `undefined` when it cannot be known any more. May throw for what only looks like a socket. */
export function peerOfSocket(socket: object): string | undefined {
  const { remoteAddress, server } = socket as ConnectedSocket;
  if (typeof remoteAddress === "string") return remoteAddress;
  return server !== undefined && isOnUnixSocket(server) ? UNIX_PEER : undefined;
}

/** A path is the address of such a server; `null` while it listens is that of one that was given an open descriptor. */
function isOnUnixSocket(server: ListeningServer): boolean {
  if (typeof server.address !== "function") return false;
  const address = server.address();
  return typeof address === "string" || (address === null && server.listening === true);
}
