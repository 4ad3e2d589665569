#!/usr/bin/env node
/**
 * `npm run bench`: every figure in the documentation, each beside a rival in the same run. `-- call`, `-- ingest`,
 * `-- export`, `-- memory`, `-- load`, `-- seal`, `-- seal-hostile`, `-- rivals`, `-- verify`, `-- envelope`, `-- capture`,
 * `-- collect` or `-- queue` runs one, and so does `-- scanners`, which does not run without its name. Takes about a quarter
 * of an hour, on a machine with nothing else to do. `-- against FOLDER [call|import|ingest|seal|verify …]`
 * compares this build with another, such as a built worktree of an earlier commit.
 * `-- search` measures searches and counts; `SECLOG_BENCH_ROWS` and `SECLOG_BENCH_DATA` say of how many rows, kept where.
 */
import { cpus } from "node:os";
import { benchAgainst } from "./against.js";
import { benchCall } from "./call.js";
import { benchCapture } from "./capture.js";
import { benchCollect } from "./collect.js";
import { benchEnvelope } from "./envelope.js";
import { benchExport } from "./export.js";
import { benchIngest, hasPsql } from "./ingest.js";
import { benchLoad } from "./load.js";
import { benchMemory } from "./memory.js";
import { benchQueue } from "./queue.js";
import { benchRivals } from "./rivals.js";
import { benchScanners } from "./scanners.js";
import { benchSeal } from "./seal.js";
import { benchSealHostile } from "./seal-hostile.js";
import { benchSearch } from "./search.js";
import { benchVerify } from "./verify.js";

const wanted = process.argv.slice(2);
const isWanted = (name) => wanted.length === 0 || wanted.includes(name);

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}`);
if (wanted[0] === "against") {
  const [, tree, ...measures] = wanted;
  if (tree === undefined) throw new Error("name the folder of the other build: npm run bench -- against FOLDER");
  await benchAgainst({ tree, ...(measures.length > 0 ? { measures } : {}) });
  process.exit();
}
if (isWanted("call")) benchCall();
if (isWanted("ingest")) {
  if (hasPsql()) await benchIngest();
  else console.log("\nIngest was skipped: psql is not installed (postgresql-client).");
}
if (isWanted("export") && hasPsql()) await benchExport();
if (isWanted("memory")) benchMemory();
if (isWanted("load")) benchLoad();
if (isWanted("seal")) await benchSeal();
if (isWanted("seal-hostile")) await benchSealHostile();
if (isWanted("search")) {
  await benchSearch({ rows: Number(process.env.SECLOG_BENCH_ROWS ?? 1_000_000), data: process.env.SECLOG_BENCH_DATA });
}
if (isWanted("rivals")) await benchRivals();
if (isWanted("verify")) await benchVerify();
if (isWanted("envelope")) benchEnvelope();
if (isWanted("capture")) await benchCapture();
if (isWanted("collect")) await benchCollect();
if (isWanted("queue")) await benchQueue({ engines: process.env.SECLOG_BENCH_ENGINES?.split(",") });
if (wanted.includes("scanners")) await benchScanners();
