/** The sealer and its tree: killed, run twice at a time, stopped, and with the database rolled back under it. */
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../packages/server/bin/seclog.js", import.meta.url));

/** How long a million events may take on a busy machine. */
const DEADLINE_MS = 900_000;

/** A key in a world's own folder, its public half, and where the kept checkpoints are. */
export function makeKey({ folder }) {
  const key = join(folder, "log.key");
  execFileSync(process.execPath, [PROGRAM, "keys", "generate", "--out", key, "--name", "faults.example"]);
  const vkey = execFileSync(process.execPath, [PROGRAM, "keys", "show", key], { encoding: "utf8" }).trim();
  return { key, vkey, kept: join(folder, "kept") };
}

export const startSealer = (world, { key }, memory = "memory") =>
  world.startProgram(["seal", "--json", "--interval", "0.05", "--key", key, "--state", join(world.folder, memory)], {
    deadline: 600_000,
  });

/** Seals everything with a program that then ends. */
export async function sealAll(world, { key }, memory = "memory") {
  const once = world.startProgram(["seal", "--once", "--key", key, "--state", join(world.folder, memory)], {
    deadline: DEADLINE_MS,
  });
  return { code: await once.exited, output: once.output };
}

/** Verifies as an auditor would: with the public key and the checkpoints kept elsewhere. */
export async function verify(world, { vkey, kept }, more = []) {
  const checkpoints = existsSync(kept) ? ["--checkpoint", kept] : [];
  const program = world.startProgram(["verify", "--vkey", vkey, ...checkpoints, ...more], { deadline: DEADLINE_MS });
  return { code: await program.exited, output: program.output.replace(/\s+/g, " ").trim() };
}

/** The checkpoints that a sealer published, which is what it printed, kept outside of everything that is harmed. */
function keep({ kept }, sealer) {
  let count = 0;
  for (const line of sealer.output.split("\n")) {
    // A killed sealer may leave half a last line.
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
      // Every third is first stopped for a while: it wakes up as a zombie, or loses its connection and then dies.
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
      `${published} checkpoints were published by ${runs + 2} sealers, each extends the one before; ${sealed} leaves`,
    );
    await finish(world, { proven: true });
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
      expect(
        refused.code === 1 && refused.output.includes("SECLOG_ROLLBACK"),
        `the sealer continued: ${refused.output}`,
      );
      if (run === 0) note(`the sealer: “${lastWords(refused.output)}”`);
      const found = await verify(world, log);
      expect(found.code === 1, `verify found nothing: ${found.output}`);
      const without = await verify(world, { ...log, kept: "/nowhere" });
      expect(without.code === 0, `the older database itself is whole: ${without.output}`);
      // The newer one returns: nothing is lost.
      await server(`ALTER DATABASE ${name} RENAME TO ${name}_older`);
      await world.server.query(`ALTER DATABASE ${name}_newer RENAME TO ${name}`);
      expect((await sealAll(world, log)).code === 0, "the sealer does not continue with the right database");
      expect((await verify(world, log)).code === 0, "the right database does not verify");
      ran();
      await finish(world, { proven: true });
    }
  },
};

/** The program's last words, without this run's folder. */
const lastWords = (output) =>
  output
    .slice(output.lastIndexOf("seclog: ") + "seclog: ".length)
    .replace(/ \(\S+\/memory\)/, "")
    .trim();

/** The columns that erasure blanks. */
const PERSONAL = [
  ..."actor_id actor_type target_id target_type data ip_address ip_source ip_chain user_agent".split(" "),
  ..."method_original notes path request_host request_id trace_id span_id".split(" "),
];

/** Removes everything that was sealed last, and restores the tree of the checkpoint before. */
const CUT_TAIL = `DO $$ DECLARE old bigint;
BEGIN
  SELECT max(c.size) INTO old FROM security_event_checkpoint c, security_event_tree t WHERE c.size < t.size;
  DELETE FROM security_event_log e USING security_event_seal s
    WHERE s.first_leaf >= old AND e.source_id = s.source_id AND e.seq BETWEEN s.first_seq AND s.last_seq;
  UPDATE security_event_source x SET last_seq = s.seq - 1
    FROM (SELECT source_id, min(first_seq) AS seq FROM security_event_seal WHERE first_leaf >= old GROUP BY source_id) s
    WHERE x.id = s.source_id;
  DELETE FROM security_event_seal WHERE first_leaf >= old;
  DELETE FROM security_event_checkpoint WHERE size > old;
  DELETE FROM security_event_signature WHERE size > old;
  UPDATE security_event_tile
    SET hashes = substring(hashes FROM 1 FOR greatest(0, (old >> (8 * level))::int - tile::int * 256) * 32);
  DELETE FROM security_event_tile WHERE hashes = '';
  UPDATE security_event_tree SET size = old, root = (SELECT root FROM security_event_checkpoint WHERE size = old);
END $$`;

/** As superuser, past the triggers: an attack, and the words with which verify reports it, in a log of 600 events. */
const TAMPERING = [
  ["UPDATE", "UPDATE security_event_log SET path = '/harmless' WHERE seq = 100", /number 100,.* was changed/],
  ["DELETE", "DELETE FROM security_event_log WHERE seq = 100", /number 100 .*was removed/],
  ["cut the tail", CUT_TAIL, /a checkpoint kept elsewhere has \d+: the tail was cut off/],
  [
    "INSERT",
    `INSERT INTO security_event_log SELECT (made).* FROM (SELECT jsonb_populate_record(log,
      '{"id": "01936d2f-5c00-7000-8000-0000000000ff", "occurred_at": "2026-11-01T00:00:00Z"}') AS made
      FROM security_event_log AS log WHERE seq = 100) AS x`,
    /shares its number with another row, which was sealed with it/,
  ],
  [
    "reorder",
    "UPDATE security_event_log SET seq = 301 - seq WHERE seq IN (100, 201)",
    /was sealed as number 201 .*: the two were swapped/,
  ],
  [
    "swap two payloads",
    `UPDATE security_event_log AS x SET data = y.data, salt = y.salt FROM security_event_log AS y
      WHERE x.seq IN (100, 101) AND y.seq = 201 - x.seq AND x.source_id = y.source_id`,
    /number 100,.* was changed: its personal part/,
  ],
  ["delete a whole source", "DELETE FROM security_event_log WHERE category <> 'log'", /were removed/],
  [
    "erase without a record",
    `UPDATE security_event_log SET salt = NULL, ${PERSONAL.map((column) => `${column} = NULL`).join(", ")} WHERE seq = 100`,
    /number 100,.* was erased, and no record says by whom/,
  ],
  [
    "edit the tree to fit",
    "UPDATE security_event_tile SET hashes = overlay(hashes PLACING '\\x00' FROM 100) WHERE level = 0 AND tile = 0",
    /tile\/0\/000 do not match: one of the two was changed/,
  ],
];

const TAMPERED = {
  number: 30,
  name: "rows changed behind Seclog's back",
  runs: { full: TAMPERING.length, short: 3 },
  async run({ runs, world: create, finish, ran, expect, note }) {
    const world = await create();
    const { name } = world.database;
    const log = makeKey(world);
    const app = await world.startApp({ count: 600 });
    await app.done();
    await app.until(({ health }) => health.handlers[0].behind === 0);
    await sealAll(world, log);
    // The log's last event is the tail that is cut.
    await app.close();
    await sealAll(world, log);
    appendFileSync(log.kept, readFileSync(join(world.folder, "memory")));
    expect((await verify(world, log)).code === 0, "the log as it was sealed does not verify");
    const swap = async (from, to) => {
      await world.server.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('${from}', '${to}')`,
      );
      await world.server.query(`ALTER DATABASE ${from} RENAME TO ${to}`);
    };
    await swap(name, `${name}_true`);
    for (const [what, sql, words] of TAMPERING.slice(0, runs)) {
      await world.server.query(`CREATE DATABASE ${name} TEMPLATE ${name}_true OWNER seclog_owner`);
      await world.query(`SET session_replication_role = replica; ${sql}`);
      const { code, output } = await verify(world, log, ["--json"]);
      const [found] = output.startsWith("{") ? JSON.parse(output).findings : [];
      expect(code === 1 && words.test(found?.sentence), `${what} was not found: ${found?.sentence ?? output}`);
      if (sql === CUT_TAIL) {
        const without = await verify(world, { ...log, kept: "/nowhere" });
        expect(without.code === 0, `the log without its tail does not verify: ${without.output}`);
      }
      note(`${what}: “${found?.sentence}”`);
      await world.server.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`);
      await world.server.query(`DROP DATABASE ${name}`);
      ran();
    }
    await swap(`${name}_true`, name);
    expect((await verify(world, log)).code === 0, "the log as it was sealed no longer verifies");
    await finish(world, { proven: true });
  },
};

export const SEAL_FAULTS = [KILLED_SEALERS, ROLLED_BACK, TAMPERED];
