/** Both handlers keep the promises of `ship/handler.ts`, or skip them with a reason. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { describe, it } from "vitest";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { type HandlerContractOptions, type HandlerFixture, handlerContract } from "../testing/handler-contract.ts";
import { fileHandler } from "./file/file-handler.ts";
import { stdoutHandler } from "./stdout.ts";

/** The seqs of a source in NDJSON. */
function seqsIn(text: string, sourceId: string): number[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { source_id: string; seq: number })
    .filter((row) => row.source_id === sourceId)
    .map((row) => row.seq);
}

async function files(): Promise<HandlerFixture> {
  const directory = mkdtempSync(join(tmpdir(), "seclog-contract-"));
  let last: SecurityEventHandler | undefined;
  return {
    async create() {
      // One process writes a file at a time: the next starts after the last has closed.
      await last?.close();
      last = fileHandler({ path: join(directory, "security.ndjson"), maxBytes: 20_000 });
      return last;
    },
    async storedSeqs(sourceId) {
      const names = readdirSync(directory).filter((name) => name.endsWith(".ndjson"));
      // "security.2026…" sorts before "security.ndjson".
      return names.sort().flatMap((name) => seqsIn(readFileSync(join(directory, name), "utf8"), sourceId));
    },
    async dispose() {
      rmSync(directory, { recursive: true });
    },
  };
}

async function stream(): Promise<HandlerFixture> {
  let text = "";
  const collect = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return {
    create: () => stdoutHandler({ format: "ndjson", stream: collect }),
    async storedSeqs(sourceId) {
      return seqsIn(text, sourceId);
    },
  };
}

const NO_QUARANTINE = "it leaves records that it cannot write to the spool's quarantine.ndjson";
const NO_READING = "a stream cannot be read back, so a new process prints events again";

const handlers: { readonly [name: string]: HandlerContractOptions } = {
  fileHandler: {
    open: files,
    skip: {
      "refuses an older epoch": "a file has one writer at a time, which its lock ensures",
      "notices a destination that went back": "the files' owner may move and delete them",
      "continues past a quarantined record": NO_QUARANTINE,
    },
  },
  stdoutHandler: {
    open: stream,
    skip: {
      "is idempotent": `${NO_READING}; within a process it is, see stdout.test.ts`,
      "stores the rest of a partly stored batch": NO_READING,
      "refuses an older epoch": "a stream has no epochs",
      "notices a destination that went back": NO_READING,
      "continues past a quarantined record": NO_QUARANTINE,
      "can be created in a worker": "it prints on the application's thread",
    },
  },
};

describe.each(Object.entries(handlers))("%s - contract", (_name, options) => {
  for (const { title, skip, run } of handlerContract(options)) {
    if (skip === undefined) it(title, run);
  }
});
