/** Commits each checkpoint to a git repository, as the file `checkpoint`, and pushes if the branch has an upstream. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { SeclogError } from "seclog";
import { type Checkpoint, NoteError, parseCheckpoint, parseNote } from "seclog/merkle";
import { compareWithKept, type Publisher } from "./publisher.ts";

const FILE = "checkpoint";

/** Turns off the repository's hooks and signing, which could prompt for input. */
const CONFIGURATION = [
  ["user.name", "seclog"],
  ["user.email", "seclog@localhost"],
  ["commit.gpgSign", "false"],
  ["core.hooksPath", "/dev/null"],
  ["core.autocrlf", "false"],
  ["gc.auto", "0"],
  ["push.default", "upstream"],
].flatMap(([name, value]) => ["-c", `${name}=${value}`]);

const KILL_AFTER_MS = 2_000;
const MOST_OUTPUT = 16 * 1024;

/** @param directory a folder in a work tree; other files in it, staged or not, stay untouched */
export function gitPublisher(directory: string): Publisher {
  return {
    name: `git ${directory}`,
    async publish(checkpoint, context, signal) {
      const git = (...args: string[]): Promise<GitResult> => runGit(directory, args, signal);
      const must = async (...args: string[]): Promise<string> => {
        const { code, stdout, stderr } = await git(...args);
        if (code === 0) return stdout.trim();
        // A remote's URL may hold a password or a token.
        const said = (stderr.trim() || stdout.trim()).replace(/(:\/\/)[^\s'"]+/g, "$1…").slice(-300);
        throw new SeclogError("SECLOG_PUBLISH", `git ${args[0]} failed: ${JSON.stringify(said)}`);
      };
      if ((await must("rev-parse", "--is-inside-work-tree")) !== "true") {
        throw new SeclogError("SECLOG_PUBLISH", "it is not a work tree");
      }
      const kept = await keptCheckpoint(join(directory, FILE), checkpoint.origin);
      if (kept !== undefined && (await compareWithKept(kept, checkpoint, context, directory)) === "ahead") return;
      await replaceFile(directory, checkpoint.note);
      // --force, since it may be ignored. --only below leaves the rest of the index untouched.
      await must("add", "--force", "--", FILE);
      if ((await git("diff", "--cached", "--quiet", "--", FILE)).code !== 0) {
        const message = `${checkpoint.origin} ${checkpoint.size}`;
        await must("commit", "--quiet", "--no-verify", "--only", "-m", message, "--", FILE);
      }
      const branch = await git("symbolic-ref", "--quiet", "HEAD");
      const ref = branch.stdout.trim();
      const upstream = branch.code === 0 ? await must("for-each-ref", "--format=%(upstream)", ref) : "";
      if (upstream === "") return;
      // The commits of an upstream that was never fetched are unknown here.
      const ahead = await git("rev-list", "--max-count=1", "HEAD", "--not", upstream);
      if (ahead.code !== 0 || ahead.stdout.trim() !== "") await must("push", "--quiet");
    },
  };
}

/** The checkpoint in the file. Anything other than a checkpoint of this log is overwritten: it stays in the history. */
async function keptCheckpoint(path: string, origin: string): Promise<Checkpoint | undefined> {
  try {
    const kept = parseCheckpoint(parseNote(await readFile(path, "utf8")).text);
    return kept.origin === origin ? kept : undefined;
  } catch (error) {
    if (error instanceof NoteError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function replaceFile(directory: string, note: string): Promise<void> {
  const temporary = join(directory, `.${FILE}.${randomBytes(6).toString("hex")}`);
  try {
    const file = await open(temporary, "wx", 0o644);
    try {
      await file.writeFile(note);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(directory, FILE));
  } finally {
    await rm(temporary, { force: true });
  }
}

interface GitResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs git in its own session: without a terminal, none of its processes can prompt for a password, and all of them end
 * together when `signal` aborts.
 */
async function runGit(directory: string, args: readonly string[], signal: AbortSignal): Promise<GitResult> {
  signal.throwIfAborted();
  const child = spawn("git", ["-C", directory, ...CONFIGURATION, ...args], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: gitEnvironment(),
  });
  const kill = (name: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // The processes have ended.
    }
  };
  let killer: NodeJS.Timeout | undefined;
  const abort = (): void => {
    // SIGTERM first: after SIGKILL, git leaves its lock files behind.
    kill("SIGTERM");
    killer = setTimeout(() => kill("SIGKILL"), KILL_AFTER_MS);
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8");
      child[name].on("data", (text: string) => {
        output[name] = (output[name] + text).slice(-MOST_OUTPUT);
      });
    }
    const code = await new Promise<number | null>((ended, failed) => {
      child.on("error", failed);
      child.on("close", ended);
    });
    signal.throwIfAborted();
    return { code, ...output };
  } finally {
    clearTimeout(killer);
    signal.removeEventListener("abort", abort);
    // Git may have ended before its child processes.
    if (signal.aborted) kill("SIGKILL");
  }
}

/** Drops the variables of a hook that may have started us: they would point git away from the directory's repository. */
function gitEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...process.env };
  for (const name of ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"]) {
    delete environment[name];
  }
  return { ...environment, GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" };
}
