/** What happens to the sealer and its tree: killed, doubled, stopped, rolled back under it. */
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../packages/server/bin/seclog.js", import.meta.url));

/** A key of the world's own, its public half, and where each sealer's memory is. */
export function makeKey(world) {
  const key = join(world.folder, "log.key");
  execFileSync(process.execPath, [PROGRAM, "keys", "generate", "--out", key, "--name", "faults.example"]);
  const vkey = execFileSync(process.execPath, [PROGRAM, "keys", "show", key], { encoding: "utf8" }).trim();
  return { key, vkey, kept: join(world.folder, "kept") };
}

const startSealer = (world, { key }, memory = "memory") =>
  world.startProgram(["seal", "--json", "--interval", "0.05", "--key", key, "--memory", join(world.folder, memory)], {
    deadline: 600_000,
  });

/** Seals what is there with a program that ends. */
export async function sealAll(world, { key }, memory = "memory") {
  const once = world.startProgram(["seal", "--once", "--key", key, "--memory", join(world.folder, memory)]);
  return { code: await once.exited, output: once.output };
}

/** As an auditor would: with the public key, and what was kept of the checkpoints elsewhere. */
export async function verify(world, { vkey, kept }, more = []) {
  const checkpoints = existsSync(kept) ? ["--checkpoint", kept] : [];
  const program = world.startProgram(["verify", "--vkey", vkey, ...checkpoints, ...more]);
  return { code: await program.exited, output: program.output.replace(/\s+/g, " ").trim() };
}

/** What a sealer printed, which is what it published, kept outside of everything that is harmed. */
function keep({ kept }, sealer) {
  let count = 0;
  for (const line of sealer.output.split("\n")) {
    // The last line may be half, of one that was killed.
    if (!line.startsWith("{") || !line.endsWith("}")) continue;
    const { checkpoint } = JSON.parse(line);
    appendFileSync(kept, `${checkpoint}\n`);
    count++;
  }
  return count;
}

async function sealedUntil(world, condition, what) {
  for (const end = performance.now() + 60_000; ; await sleep(50)) {
    const [row] = await world.query(
      "SELECT (SELECT sum(last_seq) FROM security_event_source)::int AS stored, (SELECT size FROM security_event_tree)::int AS sealed",
    );
    if (condition(row)) return row;
    if (performance.now() > end) throw new Error(`${what}: ${JSON.stringify(row)}`);
  }
}

const KILLED_SEALERS = {
  number: "29a",
  name: "sealers killed and stopped, two at a time",
  runs: { full: 60, short: 4 },
  async run({ runs, world: create, finish, ran, expect, note }) {
    const world = await create();
    const log = makeKey(world);
    const app = await world.startApp({ pause: 5 });
    let published = 0;
    const sealers = [startSealer(world, log, "one"), startSealer(world, log, "two")];
    const names = ["one", "two"];
    for (let run = 0; run < runs; run++) {
      const which = run % 2;
      await sleep(200 + Math.random() * 800);
      const sealer = sealers[which];
      expect(!sealer.ended, `a sealer ended by itself: ${sealer.output.slice(-300)}`);
      // Every third is stopped for a while before: it wakes up as a zombie, or loses its connection and then dies.
      if (run % 3 === 2) {
        sealer.child.kill("SIGSTOP");
        await sleep(500);
        sealer.child.kill("SIGCONT");
      }
      await sealer.kill();
      published += keep(log, sealer);
      sealers[which] = startSealer(world, log, names[which]);
      ran();
    }
    await app.close();
    await world.drain();
    const { sealed } = await sealedUntil(world, (row) => row.sealed === row.stored, "not all is sealed");
    for (const sealer of sealers) {
      await sealer.kill();
      published += keep(log, sealer);
    }
    const verdict = await verify(world, log);
    expect(verdict.code === 0, `verify: ${verdict.output}`);
    note(
      `${published} checkpoints were published by ${runs + 2} sealers, each continues the one before; ${sealed} leaves`,
    );
    await finish(world);
  },
};

const ROLLED_BACK = {
  number: "29b",
  name: "the database rolled back under the sealer",
  runs: { full: 3, short: 1 },
  async run({ runs, world: create, finish, ran, expect, note }) {
    for (let run = 0; run < runs; run++) {
      const world = await create();
      const { name } = world.database;
      const log = makeKey(world);
      const first = await world.startApp({ count: 300 });
      await first.done();
      await first.close();
      await sealAll(world, log);
      // A backup, then more, then the backup in its place.
      const server = async (sql) => {
        await world.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND pid <> pg_backend_pid()`,
        );
        await world.server.query(sql);
      };
      await server(`CREATE DATABASE ${name}_backup TEMPLATE ${name} OWNER seclog_owner`);
      const second = await world.startApp({ count: 300 });
      await second.done();
      await second.close();
      await sealAll(world, log);
      appendFileSync(log.kept, readFileSync(join(world.folder, "memory")));
      await server(`ALTER DATABASE ${name} RENAME TO ${name}_newer`);
      await world.server.query(`ALTER DATABASE ${name}_backup RENAME TO ${name}`);
      const refused = await sealAll(world, log);
      expect(refused.code === 1 && refused.output.includes("SECLOG_ROLLBACK"), `the sealer went on: ${refused.output}`);
      if (run === 0) note(`the sealer: “${lastWords(refused.output)}”`);
      const found = await verify(world, log);
      expect(found.code === 1, `verify found nothing: ${found.output}`);
      const without = await verify(world, { ...log, kept: "/nowhere" });
      expect(without.code === 0, `the older database itself is whole: ${without.output}`);
      // The newer one comes back: nothing is lost.
      await server(`ALTER DATABASE ${name} RENAME TO ${name}_older`);
      await world.server.query(`ALTER DATABASE ${name}_newer RENAME TO ${name}`);
      expect((await sealAll(world, log)).code === 0, "the sealer does not go on with the right database");
      expect((await verify(world, log)).code === 0, "the right database does not verify");
      ran();
      await finish(world);
    }
  },
};

/** What the program said in the end, without the folder of this run. */
const lastWords = (output) =>
  output
    .slice(output.lastIndexOf("seclog: ") + "seclog: ".length)
    .replace(/ \(\S+\/memory\)/, "")
    .trim();

export const SEAL_FAULTS = [KILLED_SEALERS, ROLLED_BACK];
