/** Addresses and networks, in the form of the log's events. */
import { isIP, isIPv4 } from "node:net";
import { storedText } from "seclog";
import { InputError } from "./input-error.ts";
import { quoted } from "./words.ts";

/**
 * An address in the form of events, without port and brackets, or a network. Zones are refused: they are local to one
 * machine.
 *
 * @param input its name, for the message
 * @throws InputError
 */
export function parseNetwork(input: string, text: string): string {
  const [, address = "", bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  const stored = address.includes("%") ? undefined : storedText("ipAddress", address);
  if (stored !== undefined) {
    if (bits === undefined) return stored;
    // A network of IPv4-mapped addresses (RFC 4291, 2.5.5.2) is an IPv4 network.
    const offset = isIP(stored) === 4 && address.includes("::") ? 96 : 0;
    const most = isIP(stored) === 4 ? 32 : 128;
    const length = Number(bits) - offset;
    if (length >= 0 && length <= most) {
      const network = networkOf(stored, length);
      if (network === stored) return `${stored}/${length}`;
      // PostgreSQL would match the whole network, and `erase` would erase it.
      throw new InputError(
        (named) =>
          `${named(input)} ${quoted(text)} mixes an address and a network: write ${network}/${length} for the network, or ${stored}`,
      );
    }
  }
  throw new InputError(
    (named) => `${named(input)} ${quoted(text)} is not an address or a network: write 203.0.113.9 or 10.0.0.0/8`,
  );
}

/**
 * The first address of an address's network, in stored form.
 *
 * @param address an address in stored form
 * @param bits the prefix length, 0 to 32 or 128
 */
function networkOf(address: string, bits: number): string {
  const four = isIPv4(address);
  const width = four ? 8 : 16;
  const kept = (four ? address.split(".").map(Number) : groupsOf(address)).map((group, index) => {
    const cleared = width - Math.min(width, Math.max(0, bits - index * width));
    return (group >> cleared) << cleared;
  });
  const text = four ? kept.join(".") : kept.map((group) => group.toString(16)).join(":");
  return storedText("ipAddress", text) ?? text;
}

/** The eight groups of an IPv6 address. A URL never writes any of them dotted. */
function groupsOf(address: string): readonly number[] {
  const [left = [], right = []] = new URL(`http://[${address}]`).hostname
    .slice(1, -1)
    .split("::")
    .map((half) => (half === "" ? [] : half.split(":").map((group) => Number.parseInt(group, 16))));
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
}
