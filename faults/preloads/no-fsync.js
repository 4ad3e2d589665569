/** A preload that takes fsync away, for the negative control: it says done, and nothing was. */
import fs from "node:fs";

const pretend = (_fd, callback) => setImmediate(callback, null);
Object.assign(fs, { fsync: pretend, fdatasync: pretend, fsyncSync() {}, fdatasyncSync() {} });
