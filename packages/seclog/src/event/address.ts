import { isIPv4, isIPv6 } from "node:net";

/**
 * The canonical text of an address: what PostgreSQL's `inet` prints, so that a row decodes to the bytes that were
 * recorded. IPv4 is dotted, IPv6 is lower case with the first longest run of zeros as `::` (RFC 5952), and the low 32
 * bits are dotted if the run before them makes it an embedded IPv4 address (`::ffff:192.0.2.1`, `::192.0.2.1`). Without
 * a zone.
 *
 * @returns `undefined` if the text is not an address
 */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const groups = ipv6Groups(text);
  const run = longestZeros(groups);
  // inet_net_ntop also tests for a run of 7 here, which never applies: the dotted half would begin inside that run.
  const dotted = run.start === 0 && (run.length === 6 || (run.length === 5 && groups[5] === 0xffff));
  const hex = groups.map((group) => group.toString(16));
  if (dotted) {
    const [high = 0, low = 0] = groups.slice(6);
    hex.splice(6, 2, `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`);
  }
  if (run.length < 2) return hex.join(":");
  return `${hex.slice(0, run.start).join(":")}::${hex.slice(run.start + run.length).join(":")}`;
}

/** The eight 16-bit groups of a valid IPv6 address. */
function ipv6Groups(text: string): number[] {
  const [head = "", tail] = text.split("::");
  const left = groupsOf(head);
  if (tail === undefined) return left;
  const right = groupsOf(tail);
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
}

function groupsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part) => {
    if (!part.includes(".")) return [Number.parseInt(part, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: -1, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

/** Addresses in a text, and what looks like one. */
const ADDRESSES = /(?:[0-9A-Fa-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{1,4})?|\d{1,3}(?:\.\d{1,3}){3}/g;

/** A text in which every address is cut to the network of so many bits, in canonical form. */
export function withCutAddresses(text: string, ipv4Bits: number, ipv6Bits: number): string {
  return text.replace(ADDRESSES, (found) => {
    if (isIPv4(found)) {
      const bytes = found.split(".").map(Number);
      return bytes.map((byte, at) => byte & keptBits(ipv4Bits, at, 8)).join(".");
    }
    if (!isIPv6(found)) return found;
    const groups = ipv6Groups(found);
    // An IPv4 address within an IPv6 one is still one.
    const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
    const bits = mapped ? 96 + ipv4Bits : ipv6Bits;
    const cut = groups.map((group, at) => (group & keptBits(bits, at, 16)).toString(16));
    return canonicalAddress(cut.join(":")) ?? found;
  });
}

/** The mask of one part of an address of which the first bits are kept. */
function keptBits(bits: number, part: number, width: number): number {
  const kept = Math.min(Math.max(bits - part * width, 0), width);
  return ((1 << width) - 1) & ~((1 << (width - kept)) - 1);
}
