/**
 * The peer of a connection: an address, or the name {@link UNIX_PEER}, since a Unix socket's peer has no
 * address. A broken TCP connection has none either, so a missing address proves nothing: only the server
 * shows that it listens on a Unix socket.
 */

/** Stands for the address of a peer on a Unix socket or a Windows named pipe. */
export const UNIX_PEER = "unix";

interface ConnectedSocket {
  readonly remoteAddress?: unknown;
  readonly server?: ListeningServer | undefined;
}

interface ListeningServer {
  readonly listening?: boolean;
  address?(): unknown;
}

/**
 * The peer of a socket; `undefined` if it is no longer known. May throw for an object that only looks like a socket.
 */
export function peerOfSocket(socket: object): string | undefined {
  const { remoteAddress, server } = socket as ConnectedSocket;
  if (typeof remoteAddress === "string") return remoteAddress;
  return server !== undefined && isOnUnixSocket(server) ? UNIX_PEER : undefined;
}

/** Such a server's address is a path, or `null` while it listens on an inherited descriptor. */
function isOnUnixSocket(server: ListeningServer): boolean {
  if (typeof server.address !== "function") return false;
  const address = server.address();
  return typeof address === "string" || (address === null && server.listening === true);
}
