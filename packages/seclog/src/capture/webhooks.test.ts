import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { Stripe } from "stripe";
import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { recordedCalls } from "#test/support/recorded-calls.ts";
import type { CaptureLog } from "./capture.ts";
import { type HmacOptions, hmacVerifier, verified } from "./webhooks.ts";

describe("verified()", () => {
  it("returns the result, and records nothing when the signature is right", () => {
    const { log, calls } = recordedCalls();
    const webhook = new Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    const now = new Date();
    const headers = {
      "webhook-id": "m",
      "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
      "webhook-signature": webhook.sign("m", now, '{"paid":true}'),
    };
    expect(verified(log, null, () => webhook.verify('{"paid":true}', headers))).toEqual({ paid: true });
    expect(calls).toEqual([]);
  });

  it("records what Standard Webhooks and Stripe throw and reject with, and rethrows it", async () => {
    const { log, calls } = recordedCalls();
    const request = {};
    const webhook = new Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    expect(() => verified(log, request, () => webhook.verify("{}", {}), { provider: "acme" })).toThrow(
      "Missing required headers",
    );
    const { webhooks } = new Stripe("sk_test_none");
    const header = `t=${Math.floor(Date.now() / 1000)},v1=00`;
    await expect(
      verified(log, request, () => webhooks.constructEventAsync("{}", header, "whsec_x"), { provider: "stripe" }),
    ).rejects.toThrow(/signature/);
    expect(calls).toEqual([
      {
        type: "webhook_signature_failure",
        request,
        data: { provider: "acme", reason: "Missing required headers" },
      },
      {
        type: "webhook_signature_failure",
        request,
        data: { provider: "stripe", reason: "StripeSignatureVerificationError" },
      },
    ]);
  });

  it("records by name what an unknown verifier throws, never its message, and ignores broken JSON", () => {
    const { log, calls } = recordedCalls();
    const thrown: unknown[] = [new RangeError("secret text"), "text", undefined, new SyntaxError("no JSON")];
    for (const error of thrown) {
      let caught: unknown = "nothing";
      try {
        verified(log, null, () => {
          throw error;
        });
      } catch (again) {
        caught = again;
      }
      expect(caught).toBe(error);
    }
    expect(calls.map(({ data }) => data["reason"])).toEqual(["RangeError", undefined, undefined]);
  });

  it("a log that throws does not replace the signature's error", () => {
    const log: CaptureLog = {
      recordSecurityEvent() {
        throw new Error("the log is broken");
      },
    };
    expect(() =>
      verified(log, null, () => {
        throw new Error("the signature is wrong");
      }),
    ).toThrow("the signature is wrong");
  });
});

describe("hmacVerifier()", () => {
  const sign = (secret: string, content: string, encoding: "hex" | "base64" = "hex"): string =>
    createHmac("sha256", secret).update(content).digest(encoding);

  it("the example in GitHub's documentation", () => {
    // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    const verify = hmacVerifier({
      secret: "It's a Secret to Everybody",
      header: "X-Hub-Signature-256",
      prefix: "sha256=",
    });
    const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    verify("Hello, World!", { "x-hub-signature-256": signature });
    verify(
      Buffer.from("Hello, World!"),
      new Headers({ "X-Hub-Signature-256": signature.toUpperCase().replace("SHA256", "sha256") }),
    );
    expect(() => verify("Hello, World?", { "x-hub-signature-256": signature })).toThrow(/no signature matches/);
  });

  it("Slack's way of signing the time, and messages that are too old or from the future", () => {
    let now = 1_531_420_618;
    const options: HmacOptions = {
      secret: "8f742231b10e8888abcd99yyyzzz85a5",
      header: "x-slack-signature",
      prefix: "v0=",
      timestamp: { header: "x-slack-request-timestamp", signed: (time) => `v0:${time}:` },
      clock: () => now * 1000,
    };
    const verify = hmacVerifier(options);
    // https://docs.slack.dev/authentication/verifying-requests-from-slack
    const body =
      "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const headers = {
      "x-slack-request-timestamp": "1531420618",
      "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    };
    verify(body, headers);
    now += 301;
    expect(() => verify(body, headers)).toThrow(/too old/);
    now -= 602;
    expect(() => verify(body, headers)).toThrow(/future/);
    for (const time of ["", "soon", "-1", "1e3", "9".repeat(13)]) {
      expect(() => verify(body, { ...headers, "x-slack-request-timestamp": time })).toThrow(/SECLOG|time/);
    }
    expect(() => verify(body, { "x-slack-signature": headers["x-slack-signature"] })).toThrow(/timestamp is missing/);
  });

  it("several secrets while one replaces another, and several signatures in one header", () => {
    const verify = hmacVerifier({ secret: ["old", "new"], header: "s", encoding: "base64", prefix: "v1=" });
    for (const secret of ["old", "new"])
      verify("body", { s: `v1=${sign("other", "body", "base64")},v1=${sign(secret, "body", "base64")}` });
    expect(() => verify("body", { s: `v1=${sign("other", "body", "base64")}` })).toThrow(/no signature matches/);
    expect(() => verify("body", { s: sign("new", "body", "base64") })).toThrow(/expected form/);
  });

  it("the error has a code of the table, and the parsed body and the empty secret are the caller's mistakes", () => {
    const verify = hmacVerifier({ secret: "s", header: "x-signature" });
    expect(() => verify("body", {})).toThrow(expect.objectContaining({ code: "SECLOG_WEBHOOK_SIGNATURE" }));
    expect(() => verify({} as string, { "x-signature": "00" })).toThrow(TypeError);
    for (const options of [{ secret: "" }, { secret: [] }, { secret: ["a", ""] }, { header: "" }]) {
      expect(() => hmacVerifier({ secret: "s", header: "x", ...options })).toThrow(
        expect.objectContaining({ code: "SECLOG_CONFIG" }),
      );
    }
  });

  it("refuses every other signature, whatever is sent", () => {
    const verify = hmacVerifier({ secret: "the secret", header: "x-signature" });
    const right = sign("the secret", "body");
    verify("body", { "x-signature": right });
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: fc.constantFrom(..."0123456789abcdef") })),
        (text) => {
          expect(() => verify("body", { "x-signature": text })).toThrow(/signature/);
        },
      ),
    );
    fc.assert(
      fc.property(fc.nat(right.length - 1), fc.constantFrom(..."0123456789abcdefg"), (at, char) => {
        fc.pre(right[at] !== char);
        const forged = right.slice(0, at) + char + right.slice(at + 1);
        expect(() => verify("body", { "x-signature": forged })).toThrow(/no signature matches/);
        expect(() => verify("body", { "x-signature": right.slice(0, at) })).toThrow(/no signature matches/);
      }),
    );
  });
});
