/**
 * A model of a power cut for machines on which no file system may be mounted. Preloaded into an application
 * (`--import`), it notes what the application did to the spool and how much of that it synced. {@link cutPower} then
 * does to the files of the killed application what POSIX allows a power cut to do:
 *
 * - of a file's bytes, those at the last sync stay; of what was appended since, nothing, a part, or zeros in its place,
 *   and of each overwrite (a cursor's) all, half or nothing;
 * - of a directory's changes, those at its last sync stay; of those since, the first few of all (as with a journal) or
 *   of each name (which POSIX allows).
 *
 * Each note is a line appended in one write, so notes outlive kill -9. A file that is unlinked or replaced is first
 * linked under another name, so that it can come back.
 */
import fs from "node:fs";
import { dirname, join } from "node:path";
import { isMainThread, threadId } from "node:worker_threads";

/** The real functions. */
const real = { ...fs };
const { POWER_NOTES: notes, POWER_SPOOL: spool } = process.env;

if (notes !== undefined && spool !== undefined) {
  const fd = real.openSync(join(notes, "notes"), "a");
  const paths = new Map();
  const overwritten = new Set();
  let graves = 0;
  const note = (line) => real.writeSync(fd, `${JSON.stringify(line)}\n`);
  const ours = (path) => typeof path === "string" && path.startsWith(spool);
  // The root of the spool is a name in its parent folder.
  const canBeSynced = (path) => ours(path) || path === dirname(spool);
  /** Another link to the file, if it exists. */
  const bury = (path) => {
    const grave = join(notes, `${isMainThread ? "m" : threadId}-${++graves}`);
    if (!real.existsSync(path)) return undefined;
    real.linkSync(path, grave);
    return grave;
  };
  const created = (path, make) => {
    const isNew = ours(path) && !real.existsSync(path);
    const made = make();
    if (isNew) note({ op: "create", path });
    return made;
  };
  const synced = (fd, size) => {
    const path = paths.get(fd);
    if (path !== undefined) note({ op: "sync", path, size });
  };
  const later = (method) => (fd, callback) => {
    // A sync does not cover what is written while it runs.
    const { size } = real.fstatSync(fd);
    real[method](fd, (error) => {
      if (error === null) synced(fd, size);
      callback(error);
    });
  };
  const now = (method) => (fd) => {
    // A slow disk, so that cuts meet overwrites: a cursor is synced at once. The shipper's thread waits.
    if (overwritten.delete(paths.get(fd))) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    const { size } = real.fstatSync(fd);
    real[method](fd);
    synced(fd, size);
  };
  Object.assign(fs, {
    openSync(path, ...more) {
      const fd = created(path, () => real.openSync(path, ...more));
      if (canBeSynced(path)) paths.set(fd, path);
      else paths.delete(fd);
      return fd;
    },
    writeSync(fd, data, ...more) {
      // The position is the second argument for text, the fourth for bytes.
      const at = typeof data === "string" ? more[0] : more[2];
      const path = paths.get(fd);
      if (path === undefined || typeof at !== "number") return real.writeSync(fd, data, ...more);
      const old = real.readFileSync(path).subarray(at);
      const written = real.writeSync(fd, data, ...more);
      const lost = old.subarray(0, written).toString("base64");
      if (lost !== "") {
        note({ op: "overwrite", path, at, old: lost });
        overwritten.add(path);
      }
      return written;
    },
    mkdirSync: (path, ...more) => created(path, () => real.mkdirSync(path, ...more)),
    writeFileSync: (path, ...more) => created(path, () => real.writeFileSync(path, ...more)),
    renameSync(from, to) {
      const grave = ours(to) ? bury(to) : undefined;
      real.renameSync(from, to);
      if (ours(to)) note({ op: "rename", from, path: to, grave });
    },
    unlinkSync(path) {
      const grave = ours(path) ? bury(path) : undefined;
      real.unlinkSync(path);
      if (ours(path)) note({ op: "unlink", path, grave });
    },
    rmdirSync(path) {
      real.rmdirSync(path);
      if (ours(path)) note({ op: "rmdir", path });
    },
    fsync: later("fsync"),
    fdatasync: later("fdatasync"),
    fsyncSync: now("fsyncSync"),
    fdatasyncSync: now("fdatasyncSync"),
  });
}

/**
 * Does what a power cut does to a spool whose application has just been killed.
 *
 * @param {string} folder the folder with the notes
 * @param {() => number} random
 * @returns {{ bytes: number, names: number, overwrites: number }} how many bytes, changes of names and overwrites of
 *   synced bytes were taken back
 */
export function cutPower(folder, random = Math.random) {
  const { unsynced, sizes, overwrites } = readNotes(join(folder, "notes"));
  const taken = { bytes: 0, names: 0, overwrites: 0 };

  // The first few of all changes stay, or the first few of each name.
  const asJournal = random() < 0.5;
  const keptOf = new Map();
  const kept = Math.floor(random() * (unsynced.length + 1));
  const stays = (change, index) => {
    if (asJournal) return index < kept;
    const changes = unsynced.filter(({ path }) => path === change.path);
    if (!keptOf.has(change.path)) keptOf.set(change.path, Math.floor(random() * (changes.length + 1)));
    return changes.indexOf(change) < keptOf.get(change.path);
  };
  const undone = unsynced.filter((change, index) => !stays(change, index));
  const gone = unsynced.filter((change) => change.op === "rmdir" && !undone.includes(change));
  for (const { op, path, grave } of undone.toReversed()) {
    // A folder can only have gone if everything in it had gone.
    if (gone.some((folder) => folder.path === dirname(path))) continue;
    taken.names++;
    if (op === "rmdir") real.mkdirSync(path, { mode: 0o700 });
    else if (!real.existsSync(dirname(path))) continue;
    else if (op === "create") real.rmSync(path, { recursive: true, force: true });
    else {
      real.rmSync(path, { force: true });
      if (grave !== undefined) real.linkSync(grave, path);
    }
  }

  for (const [path, durable] of sizes) {
    const stat = real.statSync(path, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile() || stat.size <= durable) continue;
    const from = durable + Math.floor(random() * random() * (stat.size - durable));
    if (random() < 0.3) write(path, Buffer.alloc(stat.size - from), from);
    else real.truncateSync(path, random() < 0.5 ? durable : from);
    taken.bytes += stat.size - durable;
  }
  // Newest first, so that the oldest content ends up on top.
  for (const { path, at, old } of overwrites.toReversed()) {
    const bytes = Buffer.from(old, "base64");
    // Nothing, half or all of it is taken back: the rest had reached the disk.
    const from = Math.floor((bytes.length * Math.floor(random() * 3)) / 2);
    if (from === bytes.length || !real.existsSync(path)) continue;
    write(path, bytes.subarray(from), at + from);
    taken.overwrites++;
  }
  for (const name of real.readdirSync(folder)) real.rmSync(join(folder, name));
  return taken;
}

/**
 * The changes of names that no sync of their directory covers, in order; how many bytes of each file were synced; and
 * the overwrites that no sync of their file covers.
 */
function readNotes(path) {
  let unsynced = [];
  let overwrites = [];
  const sizes = new Map();
  for (const line of real.readFileSync(path, "utf8").split("\n").filter(Boolean)) {
    const { op, size, ...change } = JSON.parse(line);
    if (op === "sync") {
      sizes.set(change.path, Math.max(size, sizes.get(change.path) ?? 0));
      unsynced = unsynced.filter((other) => dirname(other.path) !== change.path);
      overwrites = overwrites.filter((other) => other.path !== change.path);
      continue;
    }
    if (op === "overwrite") {
      overwrites.push(change);
      continue;
    }
    if (op === "create") sizes.set(change.path, 0);
    if (op === "rename") {
      sizes.set(change.path, sizes.get(change.from) ?? 0);
      unsynced = unsynced.filter((other) => other.path !== change.from);
    }
    if (op === "unlink") sizes.delete(change.path);
    unsynced.push({ op, ...change });
  }
  return { unsynced, sizes, overwrites };
}

function write(path, bytes, at) {
  const fd = real.openSync(path, "r+");
  real.writeSync(fd, bytes, 0, bytes.length, at);
  real.closeSync(fd);
}
