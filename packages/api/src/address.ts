/** Addresses and networks as numbers, without Node's help: the same code runs in a browser. */

/** An address: 4 or 16 bytes. */
type Bytes = readonly number[];

/** An address or a network. */
export interface Network {
  /** In PostgreSQL's form. */
  readonly address: string;
  /** `null`: one address. */
  readonly bits: number | null;
}

/** Reads an address or a network; returns why it cannot. An IPv4-mapped address (RFC 4291, 2.5.5.2) is an IPv4 address, as in events. */
export function readNetwork(text: string): Network | { readonly why: string; readonly meant?: string } {
  const [, address = "", length] = /^\[?([^/\]]*)\]?(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const bytes = parse(address);
  if (bytes === undefined) return { why: "write 203.0.113.9, 2001:db8::1 or 10.0.0.0/8" };
  const unmapped = unmap(bytes);
  if (length === undefined) return { address: format(unmapped), bits: null };
  const bits = Number(length) - (bytes.length - unmapped.length) * 8;
  const most = unmapped.length * 8;
  if (bits < 0 || bits > most) return { why: `its prefix length goes from 0 to ${most}` };
  const network = format(masked(unmapped, bits));
  if (network !== format(unmapped))
    return {
      why: `it mixes an address and a network: write ${network}/${bits} for the network`,
      meant: `${network}/${bits}`,
    };
  return { address: network, bits };
}

/** Whether an event's address, as PostgreSQL writes it, is the address, or in the network. */
export function isWithin(eventAddress: string, { address, bits }: Network): boolean {
  const [text = "", length] = eventAddress.split("/");
  const [one, other] = [parse(text), parse(address)];
  if (one === undefined || other === undefined || one.length !== other.length) return false;
  // A row that Seclog did not write may have a network.
  const own = length === undefined ? one.length * 8 : Number(length);
  if (bits === null) return own === one.length * 8 && one.every((byte, index) => byte === other[index]);
  return own >= bits && masked(one, bits).every((byte, index) => byte === other[index]);
}

function parse(text: string): Bytes | undefined {
  return text.includes(":") ? parseSix(text) : parseFour(text);
}

function parseFour(text: string): Bytes | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255))
    return undefined;
  return parts.map(Number);
}

function parseSix(text: string): Bytes | undefined {
  const [left = "", right, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  const head = groups(left, right === undefined);
  const tail = right === undefined ? [] : groups(right, true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (right === undefined ? missing !== 0 : missing < 2) return undefined;
  return [...head, ...Array.from({ length: missing }, () => 0), ...tail];
}

/** The bytes of groups between colons; the last may be an IPv4 address if `ends`. */
function groups(text: string, ends: boolean): Bytes | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const bytes: number[] = [];
  for (const [index, part] of parts.entries()) {
    const four = ends && index === parts.length - 1 ? parseFour(part) : undefined;
    if (four !== undefined) bytes.push(...four);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      const group = Number.parseInt(part, 16);
      bytes.push(group >> 8, group & 255);
    } else return undefined;
  }
  return bytes;
}

function unmap(bytes: Bytes): Bytes {
  const isMapped = bytes.length === 16 && bytes.slice(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 255));
  return isMapped ? bytes.slice(12) : bytes;
}

function masked(bytes: Bytes, bits: number): Bytes {
  return bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))) & 0xff);
}

/** In the form of RFC 5952, as PostgreSQL writes it. */
function format(bytes: Bytes): string {
  if (bytes.length === 4) return bytes.join(".");
  const words = Array.from({ length: 8 }, (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0));
  let [start, longest] = [-1, 1];
  for (let index = 0; index < 8; index++) {
    let length = 0;
    while (words[index + length] === 0) length++;
    if (length > longest) [start, longest] = [index, length];
  }
  const hex = words.map((word) => word.toString(16));
  if (start < 0) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + longest).join(":")}`;
}
