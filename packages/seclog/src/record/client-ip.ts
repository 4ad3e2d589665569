/**
 * Whose address is it? The socket's peer is the only address that nobody can forge. A proxy writes the one it saw
 * into a header, behind whatever the client wrote there; so the header is read from its right end, as far as those
 * who wrote it are known and trusted, and the first address that is not trusted is the client's. What stands left of
 * it is hearsay and never believed.
 */
import { BlockList, isIP } from "node:net";
import { canonicalAddress } from "../event/address.ts";
import type { IpSource } from "../event/event.ts";
import { configError, rejectUnknownOptions } from "../event/options.ts";

/** How the client's address is found. */
export interface ClientIpOptions {
  /**
   * The application's own proxies: addresses, networks (`10.0.0.0/8`), or the names `loopback`, `linklocal` and
   * `private`.
   *
   * @default none: the address is the socket's peer
   */
  readonly trust?: readonly string[] | undefined;
  /**
   * The header that those proxies write: `x-forwarded-for`, `forwarded` (RFC 7239), or another that holds one
   * address, such as `cf-connecting-ip`. Only this one is read.
   *
   * @default "x-forwarded-for"
   */
  readonly header?: string | undefined;
}

/** The client's address and how it was found. */
export interface ClientIp {
  readonly ipAddress?: string;
  readonly ipSource?: IpSource;
  /** The header as it stood and the peer; only when a header was read. */
  readonly ipChain?: string;
}

/** Finds the client's address. Never throws. */
export interface ClientIpReader {
  /** The header that is read, in lower case; `undefined` when none is. */
  readonly header: string | undefined;
  /**
   * @param peer the socket's remote address
   * @param header the value of the header, called only when the peer is trusted
   */
  read(peer: string | undefined, header: (name: string) => string | undefined): ClientIp;
}

const NETWORKS: { readonly [name: string]: readonly string[] } = {
  loopback: ["127.0.0.0/8", "::1/128"],
  linklocal: ["169.254.0.0/16", "fe80::/10"],
  private: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
};

/** More proxies than this in a row are an attack. */
const MOST_HOPS = 1000;

/** The end of a header that is looked at. */
const LONGEST_HEADER = 65_536;

/** Addresses are remembered up to this number: strangers choose them. */
const REMEMBERED = 1000;

/** An address as it is kept, and whether it is one of the application's proxies. */
interface Peer {
  readonly address: string | undefined;
  readonly trusted: boolean;
}

const NOTHING: ClientIp = Object.freeze({});

/**
 * @throws SeclogError `SECLOG_CONFIG` that names the option and the value at fault.
 */
export function createClientIp(options: ClientIpOptions = {}): ClientIpReader {
  rejectUnknownOptions("clientIp", options, ["trust", "header"]);
  const trust = options.trust ?? [];
  if (!Array.isArray(trust)) throw configError("clientIp", "trust", "must be a list of addresses, networks and names");
  const proxies = new BlockList();
  for (const entry of trust as readonly unknown[]) {
    if (typeof entry !== "string") throw configError("clientIp", "trust", `has ${String(entry)}, which is no string`);
    for (const network of Object.hasOwn(NETWORKS, entry) ? (NETWORKS[entry] ?? []) : [entry]) trustIn(proxies, network);
  }
  const header = headerOption(options.header, trust.length > 0);

  const known = new Map<string, Peer>();
  const peerOf = (text: string): Peer => {
    let peer = known.get(text);
    if (peer === undefined) {
      const address = parseAddress(text);
      const trusted = address !== undefined && proxies.check(address, address.includes(":") ? "ipv6" : "ipv4");
      peer = { address, trusted };
      if (known.size >= REMEMBERED) known.clear();
      // A copy: the text may be a slice of a long header, which it would keep in memory.
      if (text.length <= 64) known.set(Buffer.from(text).toString(), peer);
    }
    return peer;
  };

  return {
    header,
    read(peerText, readHeader) {
      if (typeof peerText !== "string" || peerText === "") return NOTHING;
      const peer = peerOf(peerText);
      if (peer.address === undefined) return { ipSource: "invalid", ipChain: peerText };
      if (header === undefined || !peer.trusted) return { ipAddress: peer.address, ipSource: "socket" };
      const value = readHeader(header);
      if (value === undefined || value.trim() === "") return { ipAddress: peer.address, ipSource: "socket" };

      const ipChain = `${value}, ${peerText}`;
      if (header !== "x-forwarded-for" && header !== "forwarded") {
        const { address } = peerOf(value.trim());
        return address === undefined
          ? { ipSource: "invalid", ipChain }
          : { ipAddress: address, ipSource: "header", ipChain };
      }
      let furthest: string | undefined;
      let hops = 0;
      for (const hop of header === "forwarded" ? forwardedFor(value) : forwardedHops(value)) {
        const { address, trusted } = peerOf(hop);
        // Whoever stands left of a hop that is no address cannot be known.
        if (address === undefined) return { ipSource: "invalid", ipChain };
        furthest = address;
        if (!trusted || ++hops === MOST_HOPS) break;
      }
      return { ipAddress: furthest ?? peer.address, ipSource: furthest === undefined ? "socket" : header, ipChain };
    },
  };
}

function headerOption(header: string | undefined, trusts: boolean): string | undefined {
  if (header === undefined) return trusts ? "x-forwarded-for" : undefined;
  if (typeof header !== "string" || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/.test(header)) {
    throw configError("clientIp", "header", `is ${JSON.stringify(header)}, which is no name of a header`);
  }
  if (!trusts) {
    throw configError("clientIp", "header", `is ${JSON.stringify(header)}, but trust names no proxy that may write it`);
  }
  return header.toLowerCase();
}

function trustIn(proxies: BlockList, network: string): void {
  const [text = "", bits, ...rest] = network.split("/");
  const mapped = isIP(text) === 6 && parseAddress(text)?.includes(":") === false;
  const address = isIP(text) === 0 ? undefined : parseAddress(text);
  const wrong = (problem: string) => configError("clientIp", "trust", `has ${JSON.stringify(network)}, ${problem}`);
  if (address === undefined || text.includes("%") || rest.length > 0) {
    throw wrong("which is no address, network or one of loopback, linklocal, private");
  }
  const family = address.includes(":") ? "ipv6" : "ipv4";
  if (bits === undefined) {
    proxies.addAddress(address, family);
    return;
  }
  const prefix = Number(bits) - (mapped ? 96 : 0);
  if (!/^\d{1,3}$/.test(bits) || prefix < 0 || prefix > (family === "ipv4" ? 32 : 128)) {
    throw wrong("whose prefix length is out of range");
  }
  if (prefix === 0) throw wrong("which trusts everybody: anyone could then name any address as their own");
  proxies.addSubnet(address, prefix, family);
}

/** The hops of X-Forwarded-For, last first. */
function* forwardedHops(header: string): Generator<string> {
  const value = header.slice(-LONGEST_HEADER);
  for (let end = value.length; end >= 0; ) {
    const comma = end === 0 ? -1 : value.lastIndexOf(",", end - 1);
    yield value.slice(comma + 1, end).trim();
    end = comma;
  }
}

/**
 * The `for` of each element of Forwarded (RFC 7239), last first. Read from the right also within the text: a client
 * that opens a quote and never closes it must not swallow what the proxy wrote behind it.
 */
function* forwardedFor(header: string): Generator<string> {
  const value = header.slice(-LONGEST_HEADER);
  let end = value.length;
  let quoted = false;
  for (let at = value.length - 1; at >= -1; at--) {
    const char = at === -1 ? "," : value[at];
    if (char === '"') quoted = !quoted;
    if (at === -1 || (char === "," && !quoted)) {
      yield forOf(value.slice(at + 1, end));
      end = at;
    }
  }
}

/** The `for` of one element, empty when it has none or is not what RFC 7239 allows: then none of it is believed. */
function forOf(element: string): string {
  const pair = /\s*([^=;,\s"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^=;,\s"]*))\s*(;|$)/gy;
  let found = "";
  for (;;) {
    const match = pair.exec(element);
    if (match === null) return "";
    if (match[1]?.toLowerCase() === "for") {
      if (found !== "") return "";
      found = match[2] ?? match[3] ?? "";
    }
    if (pair.lastIndex === element.length) return match[4] === ";" ? "" : found;
  }
}

/**
 * An address in the form in which PostgreSQL's `inet` prints it, `undefined` for what is none. A port, brackets and
 * the zone are left off; an IPv4 address that is mapped into IPv6 is the IPv4 address.
 */
export function parseAddress(text: string): string | undefined {
  // The longest is an IPv6 address with a dotted end, a zone and a port.
  if (text.length > 128) return undefined;
  if (isIP(text) === 4) return text;
  let address = text;
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text);
  if (bracketed !== null) {
    address = bracketed[1] ?? "";
    if (isIP(address) !== 6) return undefined;
  } else {
    const withPort = /^([\d.]+):\d{1,5}$/.exec(text);
    if (withPort !== null) return isIP(withPort[1] ?? "") === 4 ? withPort[1] : undefined;
  }
  const canonical = canonicalAddress(address.replace(/%.*$/s, ""));
  return canonical?.startsWith("::ffff:") && canonical.includes(".") ? canonical.slice(7) : canonical;
}
