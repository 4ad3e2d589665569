/** The commands: what the help lists of each, and how the rest of it is loaded. */
import type { Command } from "commander";
import { SeclogError } from "seclog";

/** A command as `seclog --help` lists it. */
export interface ListedCommand {
  readonly name: string;
  /** Its arguments. */
  readonly arguments?: string;
  /** What it does, in a line. `undefined` keeps it out of the list. */
  readonly summary?: string;
  /** Loads the code that adds its options and its action: the other commands' libraries would double the start. */
  readonly load: () => Promise<(command: Command) => void>;
}

/** In the order of the list. */
export const COMMANDS: readonly ListedCommand[] = [
  {
    name: "init",
    arguments: "[directory]",
    summary: "write the first lines of an application that records security events",
    load: async () => (await import("./commands/init.ts")).addInit,
  },
  {
    name: "map",
    arguments: "[directory]",
    summary: "list the routes, refusals and catch blocks of an application that record nothing",
    load: async () => (await import("./commands/map.ts")).addMap,
  },
  {
    name: "setup",
    summary: "create or update the log's database, roles and tables; safe to repeat",
    load: async () => (await import("./commands/setup.ts")).addSetup,
  },
  {
    name: "doctor",
    summary: "connect as each role; report what is wrong and how to fix it",
    load: async () => (await import("./commands/doctor.ts")).addDoctor,
  },
  {
    name: "ship",
    summary: "store the events that dead processes left in a spool",
    load: async () => (await import("./commands/ship.ts")).addShip,
  },
  {
    name: "ingest",
    summary: "record what another logger wrote: lines of JSON on standard input, of pino or winston",
    load: async () => (await import("./commands/ingest.ts")).addIngest,
  },
  {
    name: "work",
    summary: "store what a queue has in PostgreSQL: any number of workers, on any number of machines",
    load: async () => (await import("./commands/work.ts")).addWork,
  },
  {
    name: "collect",
    summary: "receive other applications' events over HTTP, spool them, and store them in PostgreSQL",
    load: async () => (await import("./commands/collect.ts")).addCollect,
  },
  {
    name: "tokens",
    summary: "make, list and revoke the tokens of those who send to seclog collect",
    load: async () => (await import("./commands/tokens.ts")).addTokens,
  },
  {
    name: "tail",
    arguments: "[query...]",
    summary: "print the last events, then each new one as it arrives",
    load: async () => (await import("./commands/tail.ts")).addTail,
  },
  {
    name: "query",
    arguments: "[query...]",
    summary: "print the events that match, newest first",
    load: async () => (await import("./commands/query.ts")).addQuery,
  },
  {
    name: "export",
    arguments: "[query...]",
    summary: "write the events that match to files, in the format of another program",
    load: async () => (await import("./commands/export.ts")).addExport,
  },
  {
    name: "stats",
    arguments: "[query...]",
    summary: "count the events by type, level, address and hour, and list the sources",
    load: async () => (await import("./commands/stats.ts")).addStats,
  },
  {
    name: "count",
    arguments: "[query...]",
    summary: "count the events that match, in all or by a field",
    load: async () => (await import("./commands/count.ts")).addCount,
  },
  {
    name: "top",
    arguments: "[query...]",
    summary: "count what happens now by level, type, address, actor and route, until Ctrl-C",
    load: async () => (await import("./commands/top.ts")).addTop,
  },
  {
    name: "start",
    summary: "serve the log to programs and browsers over HTTP, on this machine",
    load: async () => (await import("./commands/start.ts")).addStart,
  },
  {
    name: "users",
    summary: "add, list, change and remove those who may sign in to the console",
    load: async () => (await import("./commands/users.ts")).addUsers,
  },
  {
    name: "inventory",
    summary: "write the inventory of the log that OWASP ASVS 16.1.1 asks for, in Markdown",
    load: async () => (await import("./commands/inventory.ts")).addInventory,
  },
  {
    name: "seal",
    summary: "make stored events tamper-evident: append them to the Merkle tree and sign it, until Ctrl-C",
    load: async () => (await import("./commands/seal.ts")).addSeal,
  },
  {
    name: "keys",
    summary: "make, show and rotate the keys that sign checkpoints",
    load: async () => (await import("./commands/keys.ts")).addKeys,
  },
  {
    name: "verify",
    summary: "recompute the whole log from its rows, and report what differs from what was sealed",
    load: async () => (await import("./commands/verify.ts")).addVerify,
  },
  {
    name: "prove",
    arguments: "<event-id>",
    summary: "write a proof that an event is in the log; check it offline with seclog verify-proof",
    load: async () => (await import("./commands/prove.ts")).addProve,
  },
  {
    name: "verify-proof",
    arguments: "<file>",
    summary: "check a proof that seclog prove wrote, without the database",
    load: async () => (await import("./commands/verify-proof.ts")).addVerifyProof,
  },
  {
    name: "witness",
    summary: "cosign the checkpoints of other logs if each is consistent with the one before (c2sp.org/tlog-witness)",
    load: async () => (await import("./commands/witness.ts")).addWitness,
  },
  {
    name: "tiles",
    summary: "serve the checkpoint and the tiles over HTTP to verifiers of the log (c2sp.org/tlog-tiles)",
    load: async () => (await import("./commands/tiles.ts")).addTiles,
  },
  {
    name: "erase",
    summary: "erase a person's data from events; keep the events and their proofs",
    load: async () => (await import("./commands/erase.ts")).addErase,
  },
  {
    name: "prune",
    summary: "drop months past their retention; keep what proves them",
    load: async () => (await import("./commands/prune.ts")).addPrune,
  },
  {
    name: "hold",
    summary: "protect events from erasure and retention, for as long as a case requires",
    load: async () => (await import("./commands/hold.ts")).addHold,
  },
  {
    name: "retention",
    summary: "list or set how long each category of events is kept",
    load: async () => (await import("./commands/retention.ts")).addRetention,
  },
  {
    name: "rollup",
    summary: "count what is stored by hour, as seal does all the time, or make the counts anew",
    load: async () => (await import("./commands/rollup.ts")).addRollup,
  },
  { name: "demo", load: async () => addDemo },
];

/** People look for the demo here, so the program says where it is. */
function addDemo(command: Command): void {
  command
    .argument("[arguments...]")
    .allowUnknownOption()
    .action(() => {
      throw new SeclogError("SECLOG_CONFIG", "the demo is a separate package: start it with npx @seclog/demo");
    });
}
