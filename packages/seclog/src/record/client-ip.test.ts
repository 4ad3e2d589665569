import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { type ClientIpOptions, createClientIp, parseAddress } from "./client-ip.ts";

const PROXIES: ClientIpOptions = { trust: ["loopback", "10.0.0.0/8", "2001:db8:ffff::/48"] };

function read(options: ClientIpOptions, peer: string | undefined, headers: { readonly [name: string]: string } = {}) {
  return createClientIp(options).read(peer, (name) => headers[name]);
}

describe("createClientIp()", () => {
  it("returns the socket's peer by default, whatever the headers contain", () => {
    expect(read({}, "::ffff:10.0.0.1", { "x-forwarded-for": "1.2.3.4", forwarded: "for=1.2.3.4" })).toEqual({
      ipAddress: "10.0.0.1",
      ipSource: "socket",
    });
    expect(read({}, undefined)).toEqual({});
  });

  it.each([
    ["the nearest untrusted hop", "6.6.6.6, 203.0.113.7, 10.1.2.3", "203.0.113.7"],
    ["the furthest when all are trusted", "10.9.9.9, 10.1.2.3", "10.9.9.9"],
    ["a hop with a port", "203.0.113.7:4711", "203.0.113.7"],
    ["an IPv6 hop in brackets with a port", "[2001:DB8:0:0::7]:4711", "2001:db8::7"],
    ["an IPv6 hop with a zone", "fe80::1%eth0", "fe80::1"],
    ["a mapped hop as IPv4", "203.0.113.7, ::ffff:10.1.2.3", "203.0.113.7"],
    ["a hop among blanks and tabs", "\t203.0.113.7 ,  10.1.2.3 ", "203.0.113.7"],
  ])("reads x-forwarded-for: %s", (_, header, ipAddress) => {
    expect(read(PROXIES, "127.0.0.1", { "x-forwarded-for": header })).toEqual({
      ipAddress,
      ipSource: "x-forwarded-for",
      ipChain: `${header}, 127.0.0.1`,
    });
  });

  it.each(
    [
      ...["unknown", "_hidden", "", "203.0.113.7.8", "300.1.1.1", "010.0.0.1", "localhost", "[::1", "1.2.3.4:99999999"],
      ...["203.0.113.7, unknown", "unknown, 10.1.2.3", "1.2.3.4;5.6.7.8", "::1::2", "0x7f000001", "1.2.3.4/8"],
    ].filter((header) => header !== ""),
  )("stops in x-forwarded-for at what is not an address: %s", (header) => {
    expect(read(PROXIES, "127.0.0.1", { "x-forwarded-for": header })).toEqual({
      ipSource: "invalid",
      ipChain: `${header}, 127.0.0.1`,
    });
  });

  it("does not even read x-forwarded-for of an untrusted peer", () => {
    const reader = createClientIp(PROXIES);
    const ip = reader.read("198.51.100.1", () => {
      throw new Error("must not be read");
    });
    expect(ip).toEqual({ ipAddress: "198.51.100.1", ipSource: "socket" });
  });

  it("returns a trusted peer that sends no header", () => {
    expect(read(PROXIES, "10.0.0.1")).toEqual({ ipAddress: "10.0.0.1", ipSource: "socket" });
    expect(read(PROXIES, "10.0.0.1", { "x-forwarded-for": "  " })).toEqual({
      ipAddress: "10.0.0.1",
      ipSource: "socket",
    });
  });

  it("never trusts an address left of an untrusted hop", () => {
    const untrusted = fc.ipV4().filter((ip) => !/^(?:10|127)\./.test(ip));
    const xffReader = createClientIp(PROXIES);
    const forwardedReader = createClientIp({ ...PROXIES, header: "forwarded" });
    const anything = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: "binary" }), fc.constant('"'), fc.constant(","));
    fc.assert(
      fc.property(
        fc.array(anything),
        untrusted,
        fc.array(fc.constantFrom("10.0.0.2", "::1")),
        (forged, client, own) => {
          const xff = [...forged, client, ...own].join(", ");
          expect(xffReader.read("127.0.0.1", () => xff).ipAddress).toBe(client);
          const elements = [...forged, ...[client, ...own].map((ip) => `for="${ip.includes(":") ? `[${ip}]` : ip}"`)];
          expect(forwardedReader.read("127.0.0.1", () => elements.join(", ")).ipAddress).toBe(client);
        },
      ),
    );
  });

  it("never throws and never trusts a direct client, whatever the header", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.constantFrom("forwarded", "x-forwarded-for", "x-real-ip"),
        (text, header) => {
          const options = { ...PROXIES, header };
          expect(read(options, "198.51.100.1", { [header]: text }).ipAddress).toBe("198.51.100.1");
          const ip = read(options, "10.0.0.1", { [header]: text });
          expect(ip.ipSource).toBeDefined();
          expect(read(options, text, { [header]: text })).toBeDefined();
        },
      ),
    );
  });

  it("walks over 1,000 trusted hops and no further, in linear time", () => {
    const header = `6.6.6.6, 203.0.113.7, ${"10.0.0.1, ".repeat(998)}10.0.0.2`;
    expect(read(PROXIES, "10.0.0.3", { "x-forwarded-for": header }).ipAddress).toBe("203.0.113.7");
    expect(read(PROXIES, "10.0.0.3", { "x-forwarded-for": `203.0.113.7${", 10.0.0.1".repeat(5000)}` }).ipAddress).toBe(
      "10.0.0.1",
    );
    expect(read(PROXIES, "10.0.0.3", { "x-forwarded-for": ",".repeat(1_000_000) }).ipSource).toBe("invalid");
  });

  it.each([
    ["for=203.0.113.7;proto=https;by=10.0.0.9", "203.0.113.7"],
    ['for=6.6.6.6, For="203.0.113.7:80", for=10.1.2.3', "203.0.113.7"],
    ['for="[2001:db8::7]:4711"', "2001:db8::7"],
    ["by=10.0.0.9; for = 203.0.113.7", "203.0.113.7"],
    ['for="6.6.6.6, for=203.0.113.7', "203.0.113.7"],
    ['for=203.0.113.7;ext="a, for=6.6.6.6"', "203.0.113.7"],
    ['host="x;for=6.6.6.6;y";for=203.0.113.7', "203.0.113.7"],
    ['for=6.6.6.6;x, host="a\\"b";for=203.0.113.7', undefined],
    ["for=6.6.6.6;for=203.0.113.7", undefined],
    ["for=unknown", undefined],
    ["for=_SEVKISEK", undefined],
    ["proto=https", undefined],
    ["notfor=203.0.113.7", undefined],
  ])("reads forwarded: %s", (header, ipAddress) => {
    const ip = read({ ...PROXIES, header: "Forwarded" }, "127.0.0.1", { forwarded: header });
    expect(ip.ipAddress).toBe(ipAddress);
    expect(ip.ipSource).toBe(ipAddress === undefined ? "invalid" : "forwarded");
  });

  it("reads one address from another header, and only from the configured one", () => {
    const options = { ...PROXIES, header: "CF-Connecting-IP" };
    const headers = { "cf-connecting-ip": "203.0.113.7", "x-forwarded-for": "6.6.6.6", forwarded: "for=6.6.6.6" };
    expect(read(options, "10.0.0.1", headers)).toEqual({
      ipAddress: "203.0.113.7",
      ipSource: "header",
      ipChain: "203.0.113.7, 10.0.0.1",
    });
    expect(read(options, "10.0.0.1", { "cf-connecting-ip": "203.0.113.7, 6.6.6.6" }).ipSource).toBe("invalid");
  });

  it("treats a mapped network as the IPv4 network", () => {
    expect(read({ trust: ["::ffff:10.0.0.0/104"] }, "10.2.3.4", { "x-forwarded-for": "1.2.3.4" }).ipAddress).toBe(
      "1.2.3.4",
    );
  });

  it.each([
    [{ trust: ["10.0.0.0/33"] }, "10.0.0.0/33"],
    [{ trust: ["10.0.0.0/8/8"] }, "10.0.0.0/8/8"],
    [{ trust: ["10.0.0.0/"] }, "10.0.0.0/"],
    [{ trust: ["10.0.0.0/-1"] }, "10.0.0.0/-1"],
    [{ trust: ["0.0.0.0/0"] }, "0.0.0.0/0"],
    [{ trust: ["::/0"] }, "::/0"],
    [{ trust: ["::1/129"] }, "::1/129"],
    [{ trust: ["fe80::1%eth0"] }, "fe80::1%eth0"],
    [{ trust: ["everyone"] }, "everyone"],
    [{ trust: ["constructor"] }, "constructor"],
    [{ trust: [10] }, "10"],
    [{ trust: "loopback" }, "trust"],
    [{ header: "forwarded" }, "forwarded"],
    [{ trust: ["loopback"], header: "a b" }, "a b"],
    [{ proxies: ["loopback"] }, "proxies"],
  ])("refuses %j", (options, value) => {
    expect(() => createClientIp(options as ClientIpOptions)).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringContaining(value) }),
    );
  });
});

describe("parseAddress()", () => {
  it.each([
    ["::FFFF:10.0.0.1", "10.0.0.1"],
    ["::ffff:a00:1", "10.0.0.1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["::", "::"],
    ["::5", "::5"],
    ["::1:5", "::0.1.0.5"],
    ["::1.2.3.4", "::1.2.3.4"],
    ["2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ])("returns for %s the address %s, as PostgreSQL's inet prints it", (text, address) => {
    expect(parseAddress(text)).toBe(address);
  });

  it("is idempotent: it leaves its own result unchanged, without zone or port", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), (text) => {
        const address = parseAddress(text);
        if (address !== undefined) expect(parseAddress(address)).toBe(address);
        expect(address ?? "").not.toMatch(/[%[\]]/);
      }),
    );
  });
});
