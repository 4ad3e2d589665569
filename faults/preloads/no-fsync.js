/** A preload whose fsync reports success and does nothing: for the negative control. */
import fs from "node:fs";

const pretend = (_fd, callback) => setImmediate(callback, null);
Object.assign(fs, { fsync: pretend, fdatasync: pretend, fsyncSync() {}, fdatasyncSync() {} });
