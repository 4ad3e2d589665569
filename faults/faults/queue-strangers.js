/** Queues: what a stranger who reaches the engine does, and what messages do that are not what they seem. */
import { randomBytes } from "node:crypto";
import { each, journey, needs } from "../queue-scene.js";

/** Messages that no application of ours has sent. */
const POISON = [
  Buffer.from("hello"),
  Buffer.alloc(0),
  randomBytes(300),
  Buffer.from("SECLOGE\x01\x00 and then something else"),
  // A plain envelope of a source that does not exist; a position that was never stored.
  Buffer.from(
    "5345434c4f4745010001936d2f5c0070008000000000000001000000010000000000000001000000000000000100000000000000003eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f900000007000000037b7d0aaaaaaaaa",
    "hex",
  ),
  Buffer.from(
    "5345434c4f4750010201936d2f5c007000800000000000000100000000000000ff00000000000000000000000000000000deadbeef",
    "hex",
  ),
];

const poison = {
  number: "28i",
  name: "queue: poison messages go to the dead letters, with reasons",
  runs: { full: 1, short: 1 },
  needs,
  run: (context) =>
    each(
      context,
      (context, engine) =>
        journey(context, engine, {
          async during(scene) {
            for (const message of POISON) await scene.engine.inject(message);
          },
          async after(scene) {
            await scene.until(async () => (await scene.deadLetters()).length >= POISON.length, 120_000, "dead letters");
            const letters = await scene.deadLetters();
            context.expect(
              letters.length === POISON.length,
              `${letters.length} dead letters for ${POISON.length} messages`,
            );
            context.expect(
              letters.every(({ code, message }) => code.startsWith("SECLOG_ENVELOPE") && message.length > 20),
              `a dead letter has no reason: ${JSON.stringify(letters)}`,
            );
            const [first] = letters;
            await scene.deadLetters("--drop", first.id, "--reason", "not ours");
            context.expect((await scene.deadLetters()).length === POISON.length - 1, "a dropped letter is still there");
            const dropped = await scene.world.query(
              "SELECT data FROM security_event_log WHERE event_type = 'dead_letters_dropped'",
            );
            context.expect(dropped.length === 1, "the log does not record the drop");
          },
        }),
      "inject",
    ),
};

/** Everything in the queue three times more, the newest first: what a stranger, or a redelivery storm, does. */
const replayed = {
  number: "28j",
  name: "queue: every message replayed three times, in the opposite order",
  runs: { full: 1, short: 1 },
  needs,
  run: (context) =>
    each(
      context,
      (context, engine) =>
        journey(context, engine, {
          workers: 0,
          async during(scene) {
            await scene.until(async () => (await scene.engine.waiting()) >= 3, 60_000, "three messages in the queue");
            for (let times = 0; times < 3; times++) await scene.engine.replay();
            scene.startWorker();
            scene.startWorker();
          },
        }),
      "replay",
    ),
};

/** An application with a key that no worker has: nothing of it is stored or lost, and once the key is there, all of it is. */
const wrongKey = {
  number: "28k",
  name: "queue: a queue key that workers get later",
  runs: { full: 1, short: 1 },
  needs,
  run: (context) =>
    each(context, (context, engine) =>
      journey(context, engine, {
        workers: 0,
        apps: 1,
        async during(scene) {
          const right = scene.key;
          const wrong = scene.startWorker({ env: { SECLOG_QUEUE_KEY: randomBytes(32).toString("base64") } });
          await scene.apps[0].until(({ failures }) => failures?.SECLOG_STALLED > 0, 120_000);
          context.expect((await scene.count()) <= 2, "a worker without the key has stored events");
          wrong.child.kill("SIGTERM");
          await wrong.exited;
          // Rotation: the new key first, the old one still accepted.
          scene.startWorker({ env: { SECLOG_QUEUE_KEY: `${randomBytes(32).toString("base64")}\n${right}` } });
        },
        async after(scene) {
          // Copies that were buried meanwhile: retrying them is harmless.
          await scene.deadLetters("--retry", "all");
          await scene.empty();
          context.expect((await scene.deadLetters()).length === 0, "a retried letter came back");
        },
      }),
    ),
};

/** Reads all that passes through the engine. */
const readAlong = {
  number: "28l",
  name: "queue: a stranger reads along, and finds ciphertext",
  runs: { full: 1, short: 1 },
  needs,
  run: (context) =>
    each(
      context,
      (context, engine) =>
        journey(context, engine, {
          workers: 0,
          async during(scene) {
            await scene.until(async () => (await scene.engine.waiting()) >= 3, 60_000, "three messages in the queue");
            const seen = await scene.engine.dump();
            context.expect(seen.includes("SECLOGE"), "the dump does not show the envelopes");
            for (const word of ["authz_fail", "event_type", "security", "actor_id", scene.key]) {
              context.expect(!seen.includes(word), `a stranger reads ${JSON.stringify(word)}`);
            }
            scene.startWorker();
          },
        }),
      "dump",
    ),
};

export const QUEUE_STRANGER_FAULTS = [poison, replayed, wrongKey, readAlong];
