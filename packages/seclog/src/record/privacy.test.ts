import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { withCutAddresses } from "../event/address.ts";
import { memoryLog } from "../testing/memory-log.ts";
import { createRedactor, type RedactOptions } from "./redact.ts";

const KEY = "a key of sixteen bytes and more";
const REQUEST = {
  method: "GET",
  url: "/u/ada",
  headers: {
    "user-agent": "curl/8",
    "x-request-id": "0199c0de-0000-4000-8000-000000000001",
    "x-forwarded-for": "203.0.113.77, 2001:db8:1:2:3:4:5:6",
  },
  socket: { remoteAddress: "127.0.0.1" },
};

async function recorded(redact: RedactOptions, data: object) {
  await using log = memoryLog({ redact: { key: KEY, ...redact }, clientIp: { trust: ["loopback", "2001:db8::/32"] } });
  log.recordSecurityEvent("authz_fail", REQUEST, data);
  const [event] = await log.events();
  if (event === undefined) throw new Error("nothing was recorded");
  return event;
}

describe("classes", () => {
  it("hash, mask and drop members of data, whatever their form", async () => {
    const classes = { email: "mask", iban: "mask", phone: "never", account: "hash", pin: "keep" } as const;
    const event = await recorded(
      { classes },
      {
        email: "ada@shop.example",
        deep: [{ IBAN: "DE89370400440532013000", phone: 12345 }],
        account: 4711,
        pin: "on the map",
        list: { email: ["a@b.example"], account: { id: 1 } },
        none: { email: null, phone: true },
      },
    );
    expect(event.data).toEqual({
      account: createRedactor({ key: KEY }).hash("4711"),
      deep: [{ IBAN: "***3000", phone: "[redacted]" }],
      email: "a***@shop.example",
      list: { account: "[redacted]", email: "[redacted]" },
      none: { email: null, phone: true },
      pin: "on the map",
    });
    expect(JSON.stringify(event)).not.toMatch(/12345|4711|DE89/);
  });

  it("hash, mask and drop columns, so that one actor's events still belong together", async () => {
    const classes = {
      userid: "hash",
      target: "mask",
      userAgent: "never",
      path: "hash",
      "x-request-id": "mask",
    } as const;
    const event = await recorded({ classes }, { userid: "ada@shop.example", target: "customer-0042" });
    const again = await recorded({ classes }, { actor: { id: "ada@shop.example", type: "customer" } });
    const { hash } = createRedactor({ key: KEY });
    expect(event).toMatchObject({
      actorId: hash("ada@shop.example"),
      targetId: "***0042",
      userAgent: "[redacted]",
      path: hash("/u/ada"),
      requestId: "***0001",
    });
    expect(again).toMatchObject({ actorId: event.actorId, actorType: "customer" });
    expect(event.notes?.converted).toMatchObject({ actorId: "hmac-sha256" });
  });

  it("go by path, which takes precedence over the name, and find secrets in what they keep", async () => {
    const classes = { "data.user.token": "keep", "data.*.email": "hash", "data.target": "mask" } as const;
    const data = { user: { token: "of a turnstile", email: "a@b.example" }, target: "customer-0042" };
    const event = await recorded({ classes }, data);
    expect(event.data).toEqual({
      target: "***0042",
      user: { email: createRedactor({ key: KEY }).hash("a@b.example"), token: "of a turnstile" },
    });
    expect(event.targetId).toBeUndefined();
    const kept = await recorded({ classes }, { user: { token: "Bearer abcdefghijkl.m123" } });
    expect(kept.data).toEqual({ user: { token: "Bearer [redacted]" } });
  });

  it("refuse what cannot be", () => {
    const of = (classes: object) => () => createRedactor({ classes: classes as never });
    expect(of({ email: "secret" })).toThrow('classes has email: "secret"; the classes are never, hash, mask, keep');
    expect(of({ ip: "hash" })).toThrow("which the column ipAddress cannot hold: use addresses to cut it");
    expect(of({ host: "never" })).toThrow("it cannot be redacted");
    expect(of({ "user.email": "hash" })).toThrow("a path begins with data.");
    expect(of(["email"])).toThrow('must be an object, such as { email: "mask" }');
    expect(() => createRedactor({ names: ["email"], classes: { Email: "mask" } })).toThrow("which one is meant?");
  });
});

describe("addresses", () => {
  it("cuts the client's address, the chain of proxies, and members that are addresses", async () => {
    const data = {
      ip: "198.51.100.23",
      headers: { "X-Forwarded-For": "198.51.100.23, ::ffff:198.51.100.23" },
      version: "1.2.3.4",
    };
    const event = await recorded({ addresses: true }, data);
    expect(event.ipAddress).toBe("203.0.113.0");
    expect(event.ipChain).toBe("203.0.113.0, 2001:db8:1::, 127.0.0.0");
    expect(event.data).toEqual({
      headers: { "X-Forwarded-For": "198.51.100.0, ::ffff:198.51.100.0" },
      ip: "198.51.100.0",
      version: "1.2.3.4",
    });
    const coarse = await recorded({ addresses: { ipv4: 16, ipv6: 32 } }, { ip: "2001:db8:1:2::1" });
    expect([coarse.ipAddress, coarse.data?.["ip"]]).toEqual(["203.0.0.0", "2001:db8::"]);
    expect((await recorded({}, data)).ipAddress).toBe("203.0.113.77");
  });

  it("keeps no bit behind the network, for any address", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(32), fc.nat(128), (address, four, six) => {
        const cut = withCutAddresses(address, four, six);
        expect(withCutAddresses(cut, four, six)).toBe(cut);
        if (four === 0 && !address.includes(":")) expect(cut).toBe("0.0.0.0");
      }),
    );
    expect(withCutAddresses("192.0.2.255 and 2001:db8:ffff:ffff::1", 25, 40)).toBe("192.0.2.128 and 2001:db8:ff00::");
  });

  it("refuses widths that no address has", () => {
    expect(() => createRedactor({ addresses: { ipv4: 33 } })).toThrow("redact: addresses: ipv4 must be a whole number");
  });
});
