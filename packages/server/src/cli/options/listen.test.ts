import { describe, expect, it } from "vitest";
import { parseListen } from "./listen.ts";

describe("parseListen()", () => {
  it.each([
    ["127.0.0.1:80", { host: "127.0.0.1", port: 80 }],
    ["[::1]:0", { host: "::1", port: 0 }],
    ["log.internal:65535", { host: "log.internal", port: 65_535 }],
  ])("reads %s", (text, address) => {
    expect(parseListen(text)).toEqual(address);
  });

  it.each(["", "80", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80", "a b:80", "a/b:80", "x:080000"])(
    "refuses %j",
    (text) => {
      expect(() => parseListen(text)).toThrow(expect.objectContaining({ code: "SECLOG_CONFIG" }));
    },
  );
});
