/**
 * A preload (`--import`) that makes the spool's file system calls fail. It wraps the functions that spool/fs.ts names
 * on the one object through which the product calls them, in the application's thread and in the shipper's, and counts
 * calls on paths below `root`.
 *
 * `FAULT_INJECT`, read when a thread starts, or the argument of {@link arm} holds:
 *
 *     root     the spool
 *     thread   "main" or "worker"
 *     at       which of the thread's calls, counted from 1; without it nothing fails
 *     times    how many in a row; 1 by default
 *     dies     SIGKILL this many calls after those
 *     only     names of the calls that are counted; all by default
 *     kept     after a failed sync, what was not synced stays in memory, as with ext4 and XFS. Without it that is taken
 *              back, as by file systems that mark such pages clean and forget them
 *     action   EIO, ENOSPC   the call fails; ENOSPC first writes a part, like a disk that becomes full
 *              short         a write that writes half
 *              before, after SIGKILL at that moment
 *              torn          SIGKILL when half was written
 *     report   a file: one line for each call that was hit; with `dies`, for the call at which the process dies
 *     trace    a file: one line for every call
 */
import fs from "node:fs";
import { isMainThread } from "node:worker_threads";

const real = { ...fs };
const thread = isMainThread ? "main" : "worker";
const BY_PATH = ["lstatSync", "lutimesSync", "mkdirSync", "openSync", "readdirSync", "rmdirSync", "unlinkSync"];
const BY_DESCRIPTOR = [
  "closeSync",
  "fdatasyncSync",
  "fstatSync",
  "fsyncSync",
  "ftruncateSync",
  "readSync",
  "writeSync",
];
const WITH_CALLBACK = ["fdatasync", "fsync"];
/** Paths of the open descriptors, and the size of each file when it was last synced. */
const paths = new Map();
const synced = new Map();
let spec;
let count = 0;

/** What fails from now on in this thread. */
export function arm(next) {
  spec = next?.thread === thread ? next : undefined;
  count = 0;
}

/** What happens to this call; `undefined` for nothing. */
function fate(name, path) {
  if (spec === undefined || path === undefined) return undefined;
  if (path !== spec.root && !path.startsWith(`${spec.root}/`)) return undefined;
  if (spec.only !== undefined && !spec.only.includes(name)) return undefined;
  count += 1;
  const line = `${thread} ${name} ${path.slice(spec.root.length + 1)}\n`;
  if (spec.trace !== undefined) real.appendFileSync(spec.trace, line);
  const last = spec.at + (spec.times ?? 1) - 1;
  const dies = count === last + spec.dies;
  if (!(count >= spec.at && count <= last) && !dies) return undefined;
  if (spec.report !== undefined && (dies || spec.dies === undefined)) real.appendFileSync(spec.report, line);
  return dies ? "before" : spec.action;
}

function errno(code, name, path) {
  const syscall = name.replace(/Sync$/, "");
  return Object.assign(new Error(`${code}: made by the fault, ${syscall} '${path}'`), { code, syscall, path });
}

function die() {
  process.kill(process.pid, "SIGKILL");
}

/** What some file systems do to pages they could not write. */
function forgetUnsynced(path) {
  if (spec.kept || !path.endsWith(".seg")) return;
  const fd = real.openSync(path, "r+");
  const from = synced.get(path) ?? 0;
  const zeros = Buffer.alloc(Math.max(0, real.fstatSync(fd).size - from));
  real.writeSync(fd, zeros, 0, zeros.length, from);
  real.closeSync(fd);
}

/** Half of what was to be written. */
function writeHalf(args) {
  const [fd, data] = args;
  const bytes = typeof data === "string" ? Buffer.from(data) : data.subarray(args[2], args[2] + args[3]);
  return real.writeSync(fd, bytes, 0, Math.ceil(bytes.length / 2));
}

const writes = (name) => name === "writeSync";
const syncs = (name) => name.startsWith("fdatasync") || name.startsWith("fsync");
const sizeOf = (path) => (path?.endsWith(".seg") ? real.statSync(path).size : 0);

function wrap(name, pathOf) {
  fs[name] = (...args) => {
    const path = pathOf(args);
    const action = fate(name, path);
    if (action === "before") die();
    if (action === "torn") {
      if (writes(name)) writeHalf(args);
      die();
    }
    if (action === "short" && name === "writeSync") return writeHalf(args);
    if (action === "ENOSPC" && name === "writeSync" && args.length > 2) {
      spec = { ...spec, action: "EIO", at: count + 1, code: "ENOSPC" };
      return writeHalf(args);
    }
    if (action === "ENOSPC" && writes(name)) writeHalf(args);
    if (action === "EIO" || action === "ENOSPC") {
      if (syncs(name)) forgetUnsynced(path);
      // A failed close releases the descriptor as well.
      if (name === "closeSync") real.closeSync(args[0]);
      throw errno(spec.code ?? action, name, path);
    }
    const size = syncs(name) ? sizeOf(path) : 0;
    const result = real[name](...args);
    if (action === "after") die();
    if (syncs(name)) synced.set(path, size);
    if (name === "openSync") paths.set(result, path);
    if (name === "closeSync") paths.delete(args[0]);
    return result;
  };
}

for (const name of BY_PATH) wrap(name, ([path]) => String(path));
for (const name of BY_DESCRIPTOR) wrap(name, ([fd]) => paths.get(fd));
for (const name of WITH_CALLBACK) {
  fs[name] = (fd, done) => {
    const path = paths.get(fd);
    const action = fate(name, path);
    if (action === "before" || action === "torn") die();
    if (action === "EIO" || action === "ENOSPC") {
      forgetUnsynced(path);
      setImmediate(done, errno(action, name, path));
      return;
    }
    const size = sizeOf(path);
    real[name](fd, (error) => {
      if (action === "after") die();
      if (error === null) synced.set(path, size);
      done(error);
    });
  };
}

if (process.env.FAULT_INJECT) arm(JSON.parse(process.env.FAULT_INJECT));
