import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatPrivateKey, parsePrivateKey } from "seclog/merkle";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isAlive } from "#test/support/is-alive.ts";
import { MemoryTree, seed } from "#test/support/sealed-tree.ts";
import { gitPublisher } from "./git.ts";
import type { PublishContext } from "./publisher.ts";

const signer = parsePrivateKey(formatPrivateKey("log.example/shop", seed()));
const tree = new MemoryTree(9);
let folder: string;
let count = 0;
const before = { home: process.env["HOME"], nosystem: process.env["GIT_CONFIG_NOSYSTEM"] };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-git-"));
  // A git without any configured identity.
  process.env["HOME"] = folder;
  process.env["GIT_CONFIG_NOSYSTEM"] = "1";
});
afterAll(() => {
  for (const [name, value] of [
    ["HOME", before.home],
    ["GIT_CONFIG_NOSYSTEM", before.nosystem],
  ] as const) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  rmSync(folder, { recursive: true, force: true });
});

const git = (directory: string, ...args: string[]): string =>
  execFileSync("git", ["-C", directory, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
const repository = (...args: string[]): string => {
  const path = join(folder, `repository-${count++}`);
  execFileSync("git", ["init", "--quiet", "--initial-branch=main", ...args, path]);
  return path;
};
const contextOf = (newest: number): PublishContext => ({
  tiles: tree.tiles,
  newestSize: async () => newest,
  cosign: async () => {},
});
const publish = async (directory: string, size: number, newest = 9, timeout = 20_000): Promise<void> =>
  await gitPublisher(directory).publish(tree.checkpoint(signer, size), contextOf(newest), AbortSignal.timeout(timeout));

describe("gitPublisher()", () => {
  it("commits each checkpoint once, in a repository without configuration", async () => {
    const path = repository();
    for (const size of [3, 3, 5]) await publish(path, size);
    expect(git(path, "log", "--format=%s|%an|%ae").split("\n")).toEqual([
      "log.example/shop 5|seclog|seclog@localhost",
      "log.example/shop 3|seclog|seclog@localhost",
    ]);
    expect(git(path, "show", "HEAD~1:checkpoint")).toBe(tree.checkpoint(signer, 3).note.trim());
    expect(git(path, "status", "--porcelain")).toBe("");
    expect(readdirSync(path).sort()).toEqual([".git", "checkpoint"]);
  });

  it("leaves staged, changed and untracked files untouched", async () => {
    const path = repository();
    for (const name of ["staged", "changed"]) writeFileSync(join(path, name), "1\n");
    writeFileSync(join(path, ".gitignore"), "check*\n");
    git(path, "add", ".");
    git(path, "-c", "user.name=a", "-c", "user.email=b", "commit", "--quiet", "-m", "theirs");
    writeFileSync(join(path, "staged"), "2\n");
    git(path, "add", "staged");
    writeFileSync(join(path, "changed"), "2\n");
    writeFileSync(join(path, "new"), "2\n");
    await publish(path, 3);
    await publish(path, 5);
    expect(git(path, "status", "--porcelain").split("\n").sort()).toEqual(
      ["?? new", "M  staged", " M changed".trim()].sort(),
    );
    expect(git(path, "show", "--name-only", "--format=", "HEAD")).toBe("checkpoint");
    expect(git(path, "show", "--name-only", "--format=", "HEAD~1")).toBe("checkpoint");
  });

  it("runs no hook, no signing and no editor", async () => {
    const path = repository();
    for (const hook of ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"]) {
      writeFileSync(join(path, ".git/hooks", hook), "#!/bin/sh\nexit 1\n");
      chmodSync(join(path, ".git/hooks", hook), 0o755);
    }
    git(path, "config", "commit.gpgSign", "true");
    await publish(path, 3);
    expect(git(path, "log", "--format=%s")).toBe("log.example/shop 3");
  });

  it("works in a folder of a larger repository, despite the environment of a hook", async () => {
    const path = repository();
    mkdirSync(join(path, "logs"));
    process.env["GIT_DIR"] = "/nowhere";
    try {
      await publish(join(path, "logs"), 3);
    } finally {
      delete process.env["GIT_DIR"];
    }
    expect(git(path, "ls-files")).toBe("logs/checkpoint");
  });

  it("never quotes a remote's URL, which may hold a password or a token", async () => {
    const path = repository();
    await publish(path, 3);
    // Port 1 is closed.
    git(path, "remote", "add", "origin", "http://user:S3cretPart@127.0.0.1:1/S3cretPath?token=S3cretToken");
    git(path, "config", "branch.main.remote", "origin");
    git(path, "config", "branch.main.merge", "refs/heads/main");
    const failure = await publish(path, 5).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "SECLOG_PUBLISH", message: expect.stringMatching(/^git push failed/) });
    expect(String(failure)).not.toMatch(/S3cret/);
  });

  it("pushes to an upstream, including commits of an earlier failed push", async () => {
    const remote = repository("--bare");
    const path = repository();
    git(path, "remote", "add", "origin", remote);
    git(path, "config", "branch.main.remote", "origin");
    git(path, "config", "branch.main.merge", "refs/heads/main");
    await publish(path, 3);
    expect(git(remote, "log", "--format=%s", "main")).toBe("log.example/shop 3");
    const hook = join(remote, "hooks/pre-receive");
    writeFileSync(hook, "#!/bin/sh\necho closed for today >&2\nexit 1\n");
    chmodSync(hook, 0o755);
    await expect(publish(path, 5)).rejects.toMatchObject({
      code: "SECLOG_PUBLISH",
      message: expect.stringMatching(/git push failed.*closed for today/),
    });
    rmSync(hook);
    await publish(path, 5);
    expect(git(remote, "log", "--format=%s", "main").split("\n")).toEqual(["log.example/shop 5", "log.example/shop 3"]);
  });

  it("ends git and its child processes after a timeout, and works again afterwards", async () => {
    const remote = repository("--bare");
    const path = repository();
    const pid = join(folder, "hanging-pid");
    writeFileSync(join(remote, "hooks/pre-receive"), `#!/bin/sh\ntrap '' TERM\necho $$ > ${pid}\nsleep 600\n`);
    chmodSync(join(remote, "hooks/pre-receive"), 0o755);
    git(path, "remote", "add", "origin", remote);
    git(path, "config", "branch.main.remote", "origin");
    git(path, "config", "branch.main.merge", "refs/heads/main");
    const begun = performance.now();
    await expect(publish(path, 3, 9, 3_000)).rejects.toThrow();
    expect(performance.now() - begun).toBeLessThan(8_000);
    const hanging = Number(readFileSync(pid, "utf8"));
    // Killed, but the system may need time to end it.
    await expect.poll(() => isAlive(hanging), { timeout: 5_000 }).toBe(false);
    rmSync(join(remote, "hooks/pre-receive"));
    await publish(path, 5);
    expect(git(remote, "log", "--format=%s", "main").split("\n")).toHaveLength(2);
  });

  it("raises the alarm if the repository has seen more than the database", async () => {
    const path = repository();
    await publish(path, 9);
    await expect(publish(path, 5, 5)).rejects.toMatchObject({
      code: "SECLOG_ROLLBACK",
      message: expect.stringContaining("with 9 leaves, and the database has 5"),
    });
    await publish(path, 5, 9);
    expect(git(path, "log", "--format=%s")).toBe("log.example/shop 9");
  });

  it("reports a missing repository", async () => {
    const path = join(folder, "plain");
    mkdirSync(path);
    await expect(publish(path, 3)).rejects.toMatchObject({
      code: "SECLOG_PUBLISH",
      message: expect.stringContaining("not a git repository"),
    });
    await expect(publish(join(folder, "absent"), 3)).rejects.toThrow("cannot change to");
  });
});
