import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { formatPrivateKey, parsePrivateKey } from "seclog/merkle";
import { afterEach, describe, expect, it } from "vitest";
import { seed } from "#test/support/sealed-tree.ts";
import { addPublishOptions, type PublishOptions, publishersOf } from "./publish.ts";

const witness = parsePrivateKey(formatPrivateKey("w.example/1", seed(), "cosignature")).vkey;
const log = parsePrivateKey(formatPrivateKey("log.example", seed())).vkey;
const SECRET = `whsec_${seed().toString("base64")}`;

afterEach(() => {
  delete process.env["SECLOG_WEBHOOK_SECRET"];
  delete process.env["SECLOG_WEBHOOK_SECRET_FILE"];
});

function parse(...args: string[]): ReturnType<typeof publishersOf> {
  const command = addPublishOptions(new Command("seal")).exitOverride();
  command.parse(args, { from: "user" });
  return publishersOf(command.opts<PublishOptions>());
}
const names = (...args: string[]): string[] => parse(...args).publishers.map(({ name }) => name);

describe("addPublishOptions() and publishersOf()", () => {
  it("create no publisher without options", () => {
    expect(parse()).toEqual({ publishers: [], everyMs: 10_000 });
  });

  it("create a publisher for every place named", () => {
    process.env["SECLOG_WEBHOOK_SECRET"] = SECRET;
    expect(
      names(
        ...["--checkpoint-file", "/a", "--checkpoint-file", "/b", "--git", "/c", "--webhook", "https://example.com/1"],
        ...[
          "--webhook",
          "https://example.com/2",
          "--witness",
          `${witness} https://w.example/`,
          "--publish-every",
          "2.5",
        ],
      ),
    ).toEqual([
      ...["file /a", "file /b", "webhook https://example.com (1)", "webhook https://example.com (2)", "git /c"],
      "witness w.example/1",
    ]);
    expect(parse("--publish-every", "2.5").everyMs).toBe(2_500);
  });

  it("read the webhook secret from the environment or a file, and refuse a webhook without one", () => {
    expect(() => names("--webhook", "https://example.com")).toThrow("SECLOG_WEBHOOK_SECRET is not set");
    const folder = mkdtempSync(join(tmpdir(), "seclog-options-"));
    writeFileSync(join(folder, "secret"), `${SECRET}\n`);
    process.env["SECLOG_WEBHOOK_SECRET_FILE"] = join(folder, "secret");
    expect(names("--webhook", "https://example.com")).toEqual(["webhook https://example.com"]);
    process.env["SECLOG_WEBHOOK_SECRET"] = SECRET;
    expect(() => names("--webhook", "https://example.com")).toThrow("both set");
    rmSync(folder, { recursive: true });
  });

  it.each([
    [["--publish-every", "-1"], "is not a number of seconds"],
    [["--publish-every", "1e3"], "is not a number of seconds"],
    [["--publish-every", "86401"], "is not a number of seconds"],
    [["--witness", witness], "must be the witness's vkey, a space and its http(s):// URL"],
    [["--witness", `${witness} nowhere`], "must be the witness's vkey"],
    [["--witness", `${witness} https://w.example https://v.example`], "must be the witness's vkey"],
    [["--witness", `${log} https://w.example`], "is a log's key (Ed25519), not a witness's key"],
    [["--witness", `${witness.replace("w.example", "v.example")} https://w.example`], "does not belong"],
    [["--witness", `${witness} https://me@w.example`], "contains a user"],
    [["--witness", `${witness} ftp://w.example`], "must be the witness's vkey"],
  ])("refuse %j", (args, why) => {
    expect(() => parse(...args)).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringContaining(why) }),
    );
  });
});
