import { constants } from "node:fs";
import { dirname } from "node:path";
import type { SpoolFs } from "../../packages/seclog/src/spool/fs.ts";
import {
  DirectoryNode,
  type Errno,
  errno,
  FileNode,
  lastPart,
  type Node,
  overlay,
  parts,
  randomNumbers,
} from "./model-fs-nodes.ts";

interface OpenFile {
  readonly node: Node;
  readonly path: string;
  /** How many failures this open file has reported. */
  reported: number;
}

/** The kind of call that an injected error hits. */
export type FaultyCalls = "write" | "sync" | "read";

/** `count` calls of a kind fail after `after` that succeed; `SHORT` writes half and reports that. */
export interface Fault {
  readonly calls: FaultyCalls;
  readonly after: number;
  readonly count: number;
  readonly code: "EIO" | "ENOSPC" | "SHORT";
}

/** How a process ends: `kill` leaves the page cache, `power` does not. */
export type CrashKind = "kill" | "power";

/**
 * A file system in memory with a page cache, which promises what POSIX does and nothing more:
 *
 * - what was not synced may be lost wholly, in part, or torn at any byte, later pages before earlier ones;
 * - a file may vanish, or come back, until its directory was synced; the changes of one directory reach the disk in
 *   order, as in every file system with a journal; an `fsync` of the file alone does not keep its name;
 * - a failed `fdatasync` marks the pages clean, some of them lost; it fails once for each open file, and then syncs
 *   succeed.
 *
 * Calls of the thread pool run, and call back, when the test says so.
 */
export class ModelFs {
  readonly #root = new DirectoryNode();
  readonly #open = new Map<number, OpenFile>();
  #nextFd = 3;
  #faults: { calls: FaultyCalls; after: number; count: number; code: Fault["code"] }[] = [];
  #queued: (() => () => void)[] = [];
  #answers: (() => void)[] = [];
  #process = 0;
  #random: () => number;
  #scheduled: { after: number; action: () => void }[] = [];
  /** Called for every file before it is unlinked. */
  onUnlink: (path: string) => void = () => {};

  constructor(seed: number) {
    this.#random = randomNumbers(seed);
  }

  /** Injects errors from now on. */
  inject(fault: Fault): void {
    this.#faults.push({ ...fault });
  }

  /** Removes all injected errors and scheduled actions. */
  heal(): void {
    this.#faults = [];
    this.#scheduled = [];
  }

  /** Runs `action` just before a later call: another thread's work, or the end of the process. */
  schedule(after: number, action: () => void): void {
    this.#scheduled.push({ after, action });
  }

  /** Runs the thread pool's oldest call, and returns whether it had one. Its callback waits for {@link answer}. */
  runPool(): boolean {
    const run = this.#queued.shift();
    if (run === undefined) return false;
    this.#answers.push(run());
    return true;
  }

  /** Calls the oldest callback of the thread pool. */
  answer(): boolean {
    const answer = this.#answers.shift();
    answer?.();
    return answer !== undefined;
  }

  /** Ends the process. Its later calls fail, and a `power` loss takes what is not on disk. */
  crash(kind: CrashKind): void {
    this.#process += 1;
    this.#open.clear();
    this.#queued = [];
    this.#answers = [];
    this.#faults = [];
    this.#scheduled = [];
    if (kind === "power") this.#losePower(this.#root);
  }

  /** Damages a file in the page cache and on disk. */
  damage(path: string, change: (bytes: Buffer) => Buffer): void {
    const file = this.file(path);
    if (file === undefined) return;
    const same = file.cache === file.disk;
    file.cache = change(Buffer.from(file.cache));
    file.disk = same ? file.cache : change(Buffer.from(file.disk));
    file.dirty = file.dirty.filter(([from]) => from < file.cache.length);
  }

  /** Another process moves a file or a folder within its directory. */
  move(from: string, to: string): void {
    const node = this.#existing(from);
    const [old, name] = [lastPart(from), lastPart(to)];
    this.#change(from, (entries) => {
      entries.delete(old);
      entries.set(name, node);
    });
  }

  file(path: string): FileNode | undefined {
    const node = this.#find(path);
    return node instanceof FileNode ? node : undefined;
  }

  /** The names in a directory; empty when it does not exist. */
  names(path: string): string[] {
    const node = this.#find(path);
    return node instanceof DirectoryNode ? [...node.entries.keys()].sort() : [];
  }

  /** The calls of one process. They fail once it has ended. */
  process(): SpoolFs {
    const process = this.#process;
    const guard = (calls: FaultyCalls, name: string, path: string): Fault["code"] | undefined => {
      if (process === this.#process) this.#runScheduled();
      if (process !== this.#process) throw errno("EIO", `${name} of a process that has ended`);
      const code = this.#takeFault(calls);
      if (code === undefined || code === "SHORT") return code;
      if (calls !== "sync") throw errno(code, `${name} ${path}`);
      return code;
    };
    const opened = (fd: number): OpenFile => {
      const file = this.#open.get(fd);
      if (file === undefined) throw errno("EBADF", `descriptor ${fd}`);
      return file;
    };
    const openFile = (fd: number): { file: FileNode; path: string } => {
      const { node, path } = opened(fd);
      if (!(node instanceof FileNode)) throw errno("EISDIR", path);
      return { file: node, path };
    };
    const sync = (name: string, fd: number): void => {
      const entry = opened(fd);
      const failed = guard("sync", name, entry.path);
      const { node } = entry;
      if (node instanceof DirectoryNode) {
        if (failed !== undefined) throw errno("EIO", `${name} ${entry.path}`);
        for (const change of node.changes.splice(0)) change(node.durable);
        return;
      }
      if (failed !== undefined) {
        node.failures += 1;
        this.#writeBack(node, () => this.#random() < 0.5);
      } else {
        node.disk = node.disk.subarray(0, node.cut);
        node.intactDisk = node.intactDisk.subarray(0, node.cut);
        node.cut = Number.POSITIVE_INFINITY;
        this.#writeBack(node, () => true);
      }
      if (entry.reported < node.failures) {
        entry.reported = node.failures;
        throw errno("EIO", `${name} ${entry.path}`);
      }
    };
    const inPool = (name: string) => (fd: number, done: (error: Errno | null) => void) => {
      this.#queued.push(() => {
        let result: Errno | null = null;
        try {
          sync(name, fd);
        } catch (error) {
          result = error as Errno;
        }
        return () => done(result);
      });
    };
    const stat = (node: Node): object => ({
      size: node instanceof FileNode ? node.cache.length : 0,
      mode: node instanceof FileNode ? 0o100600 : 0o40700,
      uid: globalThis.process.geteuid?.() ?? 0,
      nlink: 1,
      mtimeMs: node instanceof FileNode ? node.mtimeMs : 0,
      isFile: () => node instanceof FileNode,
      isDirectory: () => node instanceof DirectoryNode,
      isSymbolicLink: () => false,
    });
    const statPath = (path: string): object => {
      guard("read", "stat", path);
      return stat(this.#existing(path));
    };
    const open = (path: string, flags: string | number): number => {
      const { O_CREAT, O_RDWR, O_DIRECTORY } = constants;
      const creates = typeof flags === "string" ? flags !== "r" : (flags & O_CREAT) !== 0;
      const writes = typeof flags === "string" ? creates : (flags & O_RDWR) !== 0;
      guard(writes ? "write" : "read", "open", path);
      let node = this.#find(path);
      if (node !== undefined && typeof flags === "string" && flags.includes("x")) throw errno("EEXIST", path);
      const isFolder = typeof flags === "number" && (flags & O_DIRECTORY) !== 0;
      if (isFolder && node instanceof FileNode) throw errno("ENOTDIR", path);
      if (node === undefined && !creates) throw errno("ENOENT", path);
      if (node === undefined) {
        const made = new FileNode();
        node = made;
        this.#change(path, (entries, name) => entries.set(name, made));
      }
      const fd = this.#nextFd++;
      this.#open.set(fd, { node, path, reported: node instanceof FileNode ? node.failures : 0 });
      return fd;
    };
    /** As in node:fs: a position follows a string, the piece to write a buffer. Without a position it appends. */
    const write = (fd: number, data: Buffer | string, offset?: number, length?: number): number => {
      const { file, path } = openFile(fd);
      const from = (typeof data === "string" ? offset : undefined) ?? file.cache.length;
      const start = offset ?? 0;
      const all = typeof data === "string" ? Buffer.from(data) : data.subarray(start, start + (length ?? data.length));
      const short = guard("write", "write", path) === "SHORT" && all.length > 1;
      const bytes = short ? all.subarray(0, 1 + Math.floor(this.#random() * (all.length - 1))) : all;
      file.dirty.push([from, from + bytes.length]);
      file.cache = overlay(file.cache, bytes, from);
      file.intact = overlay(file.intact, bytes, from);
      file.mtimeMs = Date.now();
      return bytes.length;
    };
    const calls = {
      closeSync: (fd: number): void => {
        if (process === this.#process) this.#runScheduled();
        // A process that has ended has closed its files.
        if (process !== this.#process) return;
        if (!this.#open.delete(fd)) throw errno("EBADF", `descriptor ${fd}`);
      },
      fdatasync: inPool("fdatasync"),
      fdatasyncSync: (fd: number): void => sync("fdatasync", fd),
      fsync: inPool("fsync"),
      fsyncSync: (fd: number): void => sync("fsync", fd),
      fstatSync: (fd: number): object => {
        guard("read", "fstat", "");
        return stat(opened(fd).node);
      },
      ftruncateSync: (fd: number, size: number): void => {
        const { file, path } = openFile(fd);
        guard("write", "ftruncate", path);
        file.cache = file.cache.subarray(0, size);
        file.intact = file.intact.subarray(0, size);
        file.dirty = file.dirty.flatMap(([from, to]) => (from < size ? [[from, Math.min(to, size)]] : []));
        file.cut = Math.min(size, file.cut);
      },
      lstatSync: statPath,
      lutimesSync: (path: string): void => {
        guard("write", "utimes", path);
        const node = this.#existing(path);
        if (node instanceof FileNode) node.mtimeMs = Date.now();
      },
      mkdirSync: (path: string): void => {
        guard("write", "mkdir", path);
        if (this.#find(path) !== undefined) throw errno("EEXIST", path);
        const made = new DirectoryNode();
        this.#change(path, (entries, name) => entries.set(name, made));
      },
      openSync: open,
      readSync: (fd: number, into: Buffer, offset: number, length: number, position: number): number => {
        const { file, path } = openFile(fd);
        guard("read", "read", path);
        return file.cache.copy(into, offset, position, Math.min(file.cache.length, position + length));
      },
      readdirSync: (path: string): string[] => {
        guard("read", "readdir", path);
        if (!(this.#existing(path) instanceof DirectoryNode)) throw errno("ENOTDIR", path);
        return this.names(path);
      },
      rmdirSync: (path: string): void => {
        guard("write", "rmdir", path);
        const node = this.#existing(path);
        if (!(node instanceof DirectoryNode)) throw errno("ENOTDIR", path);
        if (node.entries.size > 0) throw errno("ENOTEMPTY", path);
        this.#change(path, (entries, name) => entries.delete(name));
      },
      unlinkSync: (path: string): void => {
        guard("write", "unlink", path);
        this.#existing(path);
        this.onUnlink(path);
        this.#change(path, (entries, name) => entries.delete(name));
      },
      writeSync: write,
    };
    // The calls that the spool makes, with its arguments: node:fs takes more.
    return calls as unknown as SpoolFs;
  }

  #runScheduled(): void {
    const due = this.#scheduled.filter((entry) => entry.after-- <= 0);
    this.#scheduled = this.#scheduled.filter((entry) => !due.includes(entry));
    for (const { action } of due) action();
  }

  #takeFault(calls: FaultyCalls): Fault["code"] | undefined {
    let code: Fault["code"] | undefined;
    for (const fault of this.#faults) {
      if (fault.calls !== calls) continue;
      if (fault.after > 0) {
        fault.after -= 1;
      } else if (fault.count > 0) {
        fault.count -= 1;
        code = fault.code;
      }
    }
    return code;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of parts(path)) node = node instanceof DirectoryNode ? node.entries.get(name) : undefined;
    return node;
  }

  #existing(path: string): Node {
    const node = this.#find(path);
    if (node === undefined) throw errno("ENOENT", path);
    return node;
  }

  #change(path: string, change: (entries: Map<string, Node>, name: string) => void): void {
    const parent = this.#find(dirname(path));
    if (!(parent instanceof DirectoryNode)) throw errno("ENOENT", path);
    const name = lastPart(path);
    change(parent.entries, name);
    parent.changes.push((entries) => change(entries, name));
  }

  /** Brings written ranges to disk; a range that is only partly `kept` is split into pieces of any length. */
  #writeBack(file: FileNode, kept: () => boolean): void {
    for (const [from, to] of file.dirty.splice(0)) {
      for (let at = from; at < to; ) {
        const end = Math.min(to, at + 1 + Math.floor(this.#random() * 96));
        if (kept()) {
          file.disk = overlay(file.disk, file.cache.subarray(at, end), at);
          file.intactDisk = overlay(file.intactDisk, file.intact.subarray(at, end), at);
        }
        at = end;
      }
    }
  }

  #losePower(directory: DirectoryNode): void {
    const survive = Math.floor(this.#random() * (directory.changes.length + 1));
    for (const change of directory.changes.splice(0).slice(0, survive)) change(directory.durable);
    directory.entries = new Map(directory.durable);
    for (const node of directory.entries.values()) {
      if (node instanceof DirectoryNode) {
        this.#losePower(node);
      } else {
        const share = this.#random();
        this.#writeBack(node, () => this.#random() < share);
        node.cache = Buffer.from(node.disk);
        node.intact = Buffer.from(node.intactDisk);
      }
    }
  }
}
