/**
 * The programs of an embedded PostgreSQL, the account that runs them, and a copy of them where that account needs one.
 */
import { execFile } from "node:child_process";
import {
  access,
  chmod,
  constants,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
} from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

/** Why the embedded PostgreSQL cannot be used, in one sentence with the next step. */
export class EmbeddedPostgresError extends Error {
  readonly code = "SECLOG_EMBEDDED_POSTGRES";

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "EmbeddedPostgresError";
  }
}

/** The account that runs the server when we are root. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The programs, where the account that runs them can reach them. */
export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** The major version, as in `PG_VERSION`: `18`. */
  readonly major: string;
}

/**
 * The account that root runs the server as: the owner of existing data, else `postgres`, else `nobody`. `undefined`
 * when we are not root and need none.
 */
export async function accountForRoot(pgdata: string | undefined): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  if (pgdata !== undefined) {
    const owner = await stat(pgdata);
    if (owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  }
  const lines = (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n").map((line) => line.split(":"));
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = lines.find((fields) => fields[0] === name) ?? [];
    if (Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new EmbeddedPostgresError(
    "PostgreSQL refuses to run as root, and /etc/passwd has neither postgres nor nobody: add one of them, or start as an ordinary user",
  );
}

/**
 * The programs of the platform's package, with the library links that npm packages cannot carry and that a blocked
 * install script did not make. Where the links cannot be made in place, or the account cannot reach the place, a copy
 * is used.
 *
 * @param folder used instead of the package: one with `bin/initdb` and `bin/postgres`, of any version
 */
export async function locateBinaries(
  directory: string,
  account: Account | undefined,
  folder: string | undefined,
): Promise<Binaries> {
  const { native, version } = folder === undefined ? await findPackage() : await describeBinaries(folder);
  const linked = await makeLinks(native).then(
    () => true,
    () => false,
  );
  const usable = linked && (await isReachable(native, account));
  const root = usable ? native : await copyRuntime(native, version, directory, account);
  return {
    initdb: join(root, "bin", "initdb"),
    postgres: join(root, "bin", "postgres"),
    major: version.split(".")[0] ?? version,
  };
}

async function findPackage(): Promise<{ native: string; version: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve("embedded-postgres");
    const root = dirname(dirname(createRequire(wrapper).resolve(name)));
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
    return { native: join(root, "native"), version };
  } catch (cause) {
    throw new EmbeddedPostgresError(
      `the package ${name} with PostgreSQL's binaries is not installed: run npm install with optional dependencies, or set SECLOG_ADMIN_URL to a server of your own`,
      { cause },
    );
  }
}

async function describeBinaries(folder: string): Promise<{ native: string; version: string }> {
  const command = join(folder, "bin", "postgres");
  // Where they cannot be made, the program itself reports what it lacks.
  await makeLinks(folder).catch(() => {});
  const { stdout } = await promisify(execFile)(command, ["--version"], { env: CHILD_ENVIRONMENT }).catch((error) => {
    throw cannotRun(command, error as NodeJS.ErrnoException);
  });
  const version = /\b\d+(?:\.\d+)?\b/.exec(stdout)?.[0];
  if (version === undefined)
    throw new EmbeddedPostgresError(`${command} printed an unexpected version: ${stdout.trim()}`);
  return { native: folder, version };
}

/** Makes the links that the package's `postinstall` would, as far as they are missing. */
async function makeLinks(native: string): Promise<void> {
  // Other binaries have their links and no list of them.
  const text = await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]");
  const list = JSON.parse(text) as Link[];
  for (const { source, target } of list) {
    // The paths begin with "native/", and both ends are in one folder.
    const path = resolve(dirname(native), target);
    if (
      await stat(path).then(
        () => true,
        () => false,
      )
    )
      continue;
    await rm(path, { force: true });
    await symlink(basename(source), path).catch(async (error: NodeJS.ErrnoException) => {
      // Another process made it meanwhile.
      if (error.code !== "EEXIST") throw error;
    });
  }
  for (const program of ["initdb", "postgres"]) {
    const path = join(native, "bin", program);
    await access(path, constants.X_OK).catch(() => chmod(path, 0o755));
  }
}

interface Link {
  readonly source: string;
  readonly target: string;
}

/** Whether `account` can enter every folder down to the programs, and use the programs and libraries themselves. */
async function isReachable(native: string, account: Account | undefined): Promise<boolean> {
  if (account === undefined) return true;
  for (const part of ["lib", "share", join("bin", "postgres")]) {
    if (!(await hasAccess(join(native, part), account))) return false;
  }
  return await canEnter(join(native, "bin"), account);
}

/** Whether `account` can enter `path` and all its parents. */
async function canEnter(path: string, account: Account | undefined): Promise<boolean> {
  if (account === undefined) return true;
  for (let at = path; await hasAccess(at, account); at = dirname(at)) {
    if (at === dirname(at)) return true;
  }
  return false;
}

/** Whether the permission bits let `account` execute the file or enter the folder. */
async function hasAccess(path: string, account: Account): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  // Debian has no share/ beside bin/.
  if (found === undefined) return true;
  const { mode, uid, gid } = found;
  const bits = uid === account.uid ? mode >> 6 : gid === account.gid ? mode >> 3 : mode;
  return (bits & 1) === 1;
}

/**
 * Copies the programs once to where they can be used: beside the data, or, when root's account cannot enter that, to
 * the machine's cache or temporary folder. A copy made by root belongs to root, so that the account cannot change it.
 */
async function copyRuntime(
  native: string,
  version: string,
  directory: string,
  account: Account | undefined,
): Promise<string> {
  const name = `seclog-postgresql-${version}`;
  const parents =
    account === undefined ? [join(directory, "runtime")] : [join(directory, "runtime"), "/var/cache", tmpdir()];
  let reason: unknown;
  for (const parent of parents) {
    try {
      if (parent.startsWith(directory)) await mkdir(parent, { recursive: true, mode: 0o755 });
      const place = join(parent, name);
      if (await isOurs(place)) {
        await makeLinks(join(place, "native"));
        if (await isReachable(join(place, "native"), account)) return join(place, "native");
        continue;
      }
      if (!(await canEnter(parent, account))) continue;
      const unfinished = await mkdtemp(`${place}-`);
      try {
        await cp(native, join(unfinished, "native"), {
          recursive: true,
          verbatimSymlinks: true,
          // Static libraries are half of it, and only compilers need them.
          filter: (path) => !path.endsWith(".a") && basename(path) !== "pkgconfig" && basename(path) !== "include",
        });
        await openToAll(unfinished);
        await makeLinks(join(unfinished, "native"));
        await rename(unfinished, place);
      } catch (error) {
        await rm(unfinished, { recursive: true, force: true });
        if (!(await isOurs(place))) throw error;
      }
      return join(place, "native");
    } catch (error) {
      reason = error;
    }
  }
  throw new EmbeddedPostgresError(
    `PostgreSQL's programs in ${native} cannot be used in place, nor copied to ${parents.join(" or ")}: make one of them writable, or run npm rebuild as the user that installed the packages`,
    { cause: reason },
  );
}

/** A folder in a shared place is used only when no other user can have put anything into it. */
async function isOurs(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  return found !== undefined && found.uid === process.getuid?.() && (found.mode & 0o022) === 0;
}

async function openToAll(path: string): Promise<void> {
  const found = await stat(path);
  if (found.isDirectory()) {
    await chmod(path, 0o755);
    for (const name of await readdir(path)) await openToAll(join(path, name));
  } else await chmod(path, (found.mode & 0o111) === 0 ? 0o644 : 0o755);
}

/** The path by which a child sees the data folder: descriptor 3 when another account runs it, else its path. */
export function seenBy(account: Account | undefined, path: string, descriptor: number): string {
  return account !== undefined && process.platform === "linux" ? `/proc/self/fd/${descriptor}` : path;
}

/** Without our own environment: it may hold PG… variables that redirect the server, and secrets. */
export const CHILD_ENVIRONMENT: NodeJS.ProcessEnv = {
  PATH: process.env["PATH"] ?? "/usr/bin:/bin",
  LC_ALL: "C",
  TZ: "UTC",
};

/** Why a program could not be started at all. */
export function cannotRun(command: string, error: NodeJS.ErrnoException): EmbeddedPostgresError {
  const why =
    error.code === "ENOENT"
      ? "its binaries need the GNU C library (on Alpine use a Debian image), or set SECLOG_ADMIN_URL to a server of your own"
      : `${error.code ?? error.message}: is the file system mounted noexec, or may root not change its user here?`;
  return new EmbeddedPostgresError(`${command} cannot be run: ${why}`, { cause: error });
}

/** The reason in a server's output: its first FATAL or error line, else the last line. */
export function lastWords(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const line = lines.find((text) => /FATAL|PANIC|error:/.test(text)) ?? lines.at(-1) ?? "no output";
  return line.replace(/^.*?(FATAL|PANIC|error):\s*/, "").trim();
}
