import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { createRedactor, REDACTED } from "./redact.ts";
import { SECRET_PATTERNS, type SecretPattern } from "./secret-patterns.ts";

const redactor = createRedactor();

/** Secrets of each kind that is recognised by its text. None of them was ever real. */
const hex = (length: number) => fc.stringMatching(new RegExp(`^[A-Za-z0-9]{${length}}$`));
const luhn = (head: string) => {
  for (let check = 0; check <= 9; check++) {
    let sum = 0;
    for (const [i, digit] of [...`${head}${check}`].reverse().entries()) {
      const doubled = Number(digit) * (i % 2 === 0 ? 1 : 2);
      sum += doubled > 9 ? doubled - 9 : doubled;
    }
    if (sum % 10 === 0) return `${head}${check}`;
  }
  throw new Error("no check digit");
};
const secrets: { readonly [kind: string]: fc.Arbitrary<string> } = {
  jwt: fc.tuple(hex(20), hex(30), hex(43)).map(([a, b, c]) => `eyJ${a}.eyJ${b}.${c}`),
  aws: fc.stringMatching(/^(?:AKIA|ASIA)[A-Z0-9]{16}$/),
  stripe: hex(24).map((tail) => `sk_live_${tail}`),
  github: hex(36).map((tail) => `ghp_${tail}`),
  slack: hex(24).map((tail) => `xoxb-${tail}`),
  pem: hex(64).map((tail) => `-----BEGIN RSA PRIVATE KEY-----\n${tail}\n-----END RSA PRIVATE KEY-----`),
  card: fc.stringMatching(/^4[0-9]{14}$/).map(luhn),
  groupedCard: fc.stringMatching(/^5[1-5][0-9]{13}$/).map((head) => luhn(head).replace(/(.{4})(?=.)/g, "$1 ")),
};

/** What may surround a secret; a digit would turn a card number into another number. */
const around = fc.string({ unit: "binary", maxLength: 30 }).map((text) => text.replace(/\d/g, "x"));

describe("text()", () => {
  for (const [kind, secret] of Object.entries(secrets)) {
    it(`never keeps a ${kind}, wherever it is`, () => {
      fc.assert(
        fc.property(around, secret, around, (before, planted, after) => {
          const safe = redactor.text(`${before} ${planted} ${after}`);
          expect(safe).not.toContain(planted);
          expect(safe).toContain(REDACTED);
        }),
      );
    });
  }

  it.each([
    ["Authorization: Bearer abcdef123456", "Authorization: [redacted]"],
    ["failed with Bearer mF_9.B5f-4.1JqM", "failed with Bearer [redacted]"],
    ["Basic dXNlcjpwYXNz", "Basic [redacted]"],
    ["connect postgres://app:hunter2@db:5432/x failed", "connect postgres://app:[redacted]@db:5432/x failed"],
    ["redis://:hunter2@cache", "redis://:[redacted]@cache"],
    ["amqp://u:p@ss/w0rd@mq", "amqp://u:[redacted]@mq"],
    ["invalid password: hunter2", "invalid password: [redacted]"],
    ['{"user":"a","password":"hun\\"ter2","x":1}', '{"user":"a","password":[redacted],"x":1}'],
    ['body {\\"api_key\\":\\"hunter2\\"}', 'body {\\"api_key\\":[redacted]}'],
    ["GET https://x/y?token=abc&z=1", "GET https://x/y?token=[redacted]&z=1"],
    ["Cookie: a=b; sid=c\r\nHost: x", "Cookie: [redacted]\r\nHost: x"],
    ["-----BEGIN PRIVATE KEY-----\nMIIEv", "[redacted]"],
    ["-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOY\n-----END PGP PRIVATE KEY BLOCK----- x", "[redacted] x"],
    ["paid with 4111.1111.1111.1111.", "paid with [redacted]."],
    ["paid with 3782.822463.10005", "paid with [redacted]"],
    ["newPass=hunter2 db_pass: hunter2", "newPass=[redacted] db_pass: [redacted]"],
  ])("%s", (text, safe) => {
    expect(redactor.text(text)).toBe(safe);
  });

  it.each([
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Basic authentication is required",
    "the bearer token is missing",
    "https://[::1]:8080/a/b?c=1 user@example.com",
    "http://example.com:8080/path/@scope",
    "order 4111111111111112 of 2026-11-22T19:43:22.123456Z",
    "1763840602123",
    "0192f0c8-7b0a-7000-8000-000000000000",
    "secretary, tokens and keys",
    "password reset requested",
    "boardingpass: gate 5, compass: north",
    "at 4.111111111111111, 1.4111.1111.1111.1111 and 4111.1111",
    "task-management-service-production, risk_live_dashboards and disk_test_results_2026",
    "keyJournalAdministrator and monkeyJumpedOverTheFence",
    "npm_config_update_notifier_disabled",
    "EUROPAKIA1234567890ABCDEFG",
    "secretary: Jane, hotplug: yes, maxTokens: 4096, tokenizer: bert",
    "basic self-service and bearer authentication/authorization",
    "passwordChangedAt: 2026-11-30",
    "snowflake 480000000000000004 of user id 4111111111111111",
  ])("leaves %s alone", (text) => {
    expect(redactor.text(text)).toBe(text);
  });

  it.each([
    "PRIVATE+KEY+example.com/log+c9db3c2a+AbCdEf",
    "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQ",
    "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",
    "ya29.A0ARrdaM_k3yT0k3nT0k3nT0k3nT0k3n",
    `hf_${"aB3".repeat(12)}`,
    `shpat_${"0a".repeat(16)}`,
    "sk-proj-Ab1_Cd2-Ef3Gh4Ij5Kl6",
  ])("never keeps %s", (secret) => {
    expect(redactor.text(`with ${secret} in it`)).toBe("with [redacted] in it");
  });

  it("redacts the account key of a connection string, and the signature of a signed URL", () => {
    expect(redactor.text("AccountName=x;AccountKey=abcdefgh==;")).toBe("AccountName=x;AccountKey=[redacted]");
    expect(redactor.text("https://s3/x?X-Amz-Signature=abcdef&y=1")).toBe(
      "https://s3/x?X-Amz-Signature=[redacted]&y=1",
    );
  });

  it("is idempotent: redacting again changes nothing", () => {
    fc.assert(
      fc.property(around, fc.oneof(...Object.values(secrets)), (before, planted) => {
        const safe = redactor.text(`${before} password=${planted}`);
        expect(redactor.text(safe)).toBe(safe);
      }),
    );
  });

  it("takes time in proportion to the text, whatever the text", () => {
    // Each of these makes a pattern that backtracks without bound take minutes.
    for (const part of [
      "://",
      "://:",
      "eyJ",
      "1 ",
      "password",
      'password="',
      "-----BEGIN ",
      "bearer ",
      "a:",
      "cookie",
    ]) {
      redactor.text(part.repeat(20_000 / part.length));
    }
  });

  it("remembers only short plain texts, and at most a thousand", () => {
    const remembering = createRedactor();
    const long = "a".repeat(513);
    for (const text of ["Mozilla/5.0", long]) remembering.rememberPlain(text);
    expect([remembering.isKnownPlain("Mozilla/5.0"), remembering.isKnownPlain(long)]).toEqual([true, false]);
    for (let i = 0; i < 1_000; i++) remembering.rememberPlain(`agent ${i}`);
    expect([remembering.isKnownPlain("Mozilla/5.0"), remembering.isKnownPlain("agent 999")]).toEqual([false, true]);
  });
});

describe("id()", () => {
  it("keeps every id and no key", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), fc.constantFrom("", "user:", "u-"), (number, prefix) => {
        expect(redactor.id(`${prefix}${number}`)).toBe(`${prefix}${number}`);
      }),
      { numRuns: 2_000 },
    );
    expect(redactor.id("4111 1111 1111 1111")).toBe("4111 1111 1111 1111");
    expect(redactor.id("sk_live_abcdefghijkl")).toBe(REDACTED);
  });
});

describe("rule()", () => {
  it.each([
    ...["password", "Passwd", "user_password", "newPassword", "PWD", "db-pwd", "secret", "client_secret", "x-api-key"],
    ...["apiKey", "authorization", "Cookie", "set-cookie", "token", "accessToken", "csrf_token", "otp", "userOtp"],
    ...[
      "cvv",
      "CVC2",
      "privateKey",
      "connectionString",
      "pin",
      "rawHeaders",
      "credentials",
      "creditCard",
      "p-a-s-s-w-d",
    ],
    ...["newPass", "userPass", "dbpass", "db_user_pass", "tokenValue", "accessTokens", "pwdHash", "passHash"],
    ...["authHeader", "cookieJar"],
  ])("redacts %s", (name) => {
    expect(redactor.rule(name)).toBe("redact");
  });

  it.each(["sessionId", "session_id", "tokenid", "tokenId", "connect.sid", "JSESSIONID", "jti"])(
    "%s is hashed",
    (name) => {
      expect(redactor.rule(name)).toBe("hash");
    },
  );

  it.each([
    "userid",
    "reason",
    ...["maxTokens", "tokenCount", "tokensUsed", "accessTokenCount"],
    ...["compass", "passenger", "bypass", "trespass", "boardingPass", "renderPass", "cookieConsent", "author"],
    "keyboard",
    ...["secretary", "passwordless", "passwordChangedAt", "password_policy", "credentialId", "secretVersion"],
    "pinned",
    "passed",
    "resource",
    "",
    "__proto__",
    "constructor",
  ])("keeps %s", (name) => {
    expect(redactor.rule(name)).toBe("keep");
  });
});

describe("hash()", () => {
  it("is equal for equal ids under one key, and differs under another", () => {
    const one = createRedactor({ key: "0123456789abcdef" });
    const same = createRedactor({ key: new TextEncoder().encode("0123456789abcdef") });
    const other = createRedactor();
    expect(one.hash("s1")).toMatch(/^hmac:[0-9a-f]{32}$/);
    expect(one.hash("s1")).toBe(same.hash("s1"));
    expect(one.hash("s1")).not.toBe(one.hash("s2"));
    expect(one.hash("s1")).not.toBe(other.hash("s1"));
  });
});

describe("options", () => {
  it("add names, paths and patterns, and allow names", () => {
    const own = createRedactor({
      names: ["iban"],
      allowNames: ["pin"],
      paths: ["data.user.email", "data.items.*.code", "userAgent"],
      patterns: [/CASE-\d+/, /x/y],
    });
    expect(own.rule("IBAN")).toBe("redact");
    expect(own.rule("pin")).toBe("keep");
    expect(own.text("see CASE-1 and CASE-22")).toBe("see [redacted] and [redacted]");
    expect(own.text("CASE-1")).toBe(REDACTED);
    expect(own.pathClass(["data", "user", "email"])).toBe("never");
    expect(own.pathClass(["data", "items", "3", "code"])).toBe("never");
    expect(own.pathClass(["data", "user"])).toBeUndefined();
    expect(own.secretColumn("userAgent")).toBe(true);
    expect(own.secretColumn("path")).toBe(false);
    expect(own.hasDataPaths).toBe(true);
    expect(redactor.hasDataPaths).toBe(false);
  });

  it("turn built-in patterns off, one by one", () => {
    const samples: { readonly [P in SecretPattern]: string } = {
      privateKey: "-----BEGIN PRIVATE KEY-----\nMIIEv",
      header: "Set-Cookie: theme=dark",
      jwt: "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
      urlPassword: "postgres://app:hunter2@db/x",
      scheme: "Bearer mF_9.B5f-4.1JqM",
      apiKey: "ghp_0123456789abcdefghijABCDEFGHIJ",
      assignment: "pwd=hunter2",
      cardNumber: "paid with 4111111111111111",
    };
    for (const [pattern, text] of Object.entries(samples) as [SecretPattern, string][]) {
      // Two patterns match in a cookie: the line, and the name.
      const allowPatterns: SecretPattern[] = pattern === "header" ? [pattern, "assignment"] : [pattern];
      expect(createRedactor().text(text)).toContain(REDACTED);
      expect(createRedactor({ allowPatterns }).text(text)).toBe(text);
      expect(
        createRedactor({ allowPatterns: SECRET_PATTERNS.filter((other) => other !== pattern) }).text(text),
      ).toContain(REDACTED);
    }
  });

  it.each([
    ["actor", "actorId"],
    ["actor_id", "actorId"],
    ["actorId", "actorId"],
    ["userid", "actorId"],
    ["USER-ID", "actorId"],
    ["target", "targetId"],
    ["ip", "ipAddress"],
    ["ip_address", "ipAddress"],
    ["user-agent", "userAgent"],
    ["request_host", "requestHost"],
    ["traceId", "traceId"],
    ["trace-parent", "spanId"],
    ["client_ip", "ipAddress"],
    ["remoteAddr", "ipAddress"],
    ["X-Forwarded-For", "ipAddress"],
    ["url", "path"],
    ["originalUrl", "path"],
    ["x-request-id", "requestId"],
  ])("apply the name %s to the column %s as well", (name, column) => {
    expect(createRedactor({ names: [name] }).secretColumn(column)).toBe(true);
    expect(createRedactor({ names: ["other"] }).secretColumn(column)).toBe(false);
  });

  it.each([
    ...[
      "v",
      "id",
      "occurred_at",
      "sourceId",
      "epoch",
      "seq",
      "type",
      "level",
      "category",
      "outcome",
      "logger",
      "service",
    ],
    ...[
      "environment",
      "host",
      "hostname",
      "method",
      "status_code",
      "status",
      "count",
      "startedAt",
      "ended-at",
      "ipSource",
    ],
    ...["data", "notes"],
  ])("refuse the name %s, whose column cannot be redacted", (name) => {
    expect(() => createRedactor({ names: ["iban", name] })).toThrow(
      expect.objectContaining({
        code: "SECLOG_CONFIG",
        message: expect.stringMatching(`redact: names has "${name}", .* write paths: \\["data\\.${name}"\\]$`),
      }),
    );
    expect(createRedactor({ paths: [`data.${name}`] }).pathClass(["data", name])).toBe("never");
  });

  it("accept names in any alphabet", () => {
    const own = createRedactor({ names: ["\u043f\u0430\u0440\u043e\u043b\u044c"] });
    expect(own.rule("\u041f\u0430\u0440\u043e\u043b\u044c")).toBe("redact");
    expect(own.rule("\u0438\u043c\u044f")).toBe("keep");
  });

  it.each([
    ["a name that matches nothing", { names: ["--"] }, 'names has "--"'],
    ["a name that is longer than any is kept", { names: ["x".repeat(201)] }, "names has a name of 201 characters"],
    ["a name that is secret and not", { names: ["pin"], allowNames: ["PIN"] }, 'names and allowNames both have "pin"'],
    ["a pattern that there is not", { allowPatterns: ["card"] }, 'allowPatterns has "card"; the built-in patterns are'],
    ["an unknown key", { name: [] }, "name"],
    ["an empty path", { paths: [""] }, "paths"],
    ["a path with an empty step", { paths: ["data..x"] }, "paths"],
    ["a path of what has no such text", { paths: ["actor.id"] }, 'paths has "actor.id"'],
    ["a path below a text", { paths: ["userAgent.x"] }, 'paths has "userAgent.x"'],
    ["a path that is all data", { paths: ["data"] }, 'paths has "data"'],
    ["a pattern that is text", { patterns: ["x"] }, "patterns"],
    ["a name that is not a text", { names: [5] }, "names"],
    ["a short key", { key: "short" }, "key"],
    ["a key that is a number", { key: 5 }, "key"],
  ])("refuse %s", (_, options, key) => {
    expect(() => createRedactor(options as Parameters<typeof createRedactor>[0])).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringContaining(`redact: ${key}`) }),
    );
  });
});
