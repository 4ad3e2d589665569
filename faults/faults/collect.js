/** The collector: killed while it receives, and its senders send again. */
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { steadyPort } from "#test/support/port.js";
import { contentHash } from "../check.js";

const SERVICE = "fault";

/** The rows of the senders, each as the key that its event carries: what else a row holds is for the tests. */
const SELECT = `SELECT id, source_id || '/' || seq AS place, json_build_object('key', data ->> 'key') AS data
  FROM security_event_log WHERE service = '${SERVICE}'`;

const KILLS = 3;

/** How each receiver's senders send `keys`; true if they were acknowledged. Those with `repeats` send again until then. */
const RECEIVERS = {
  NDJSON: {
    batch: 200,
    repeats: true,
    path: "/v1/events",
    type: "application/x-ndjson",
    body: (keys) => keys.map((key) => JSON.stringify({ event_type: "authz_fail", data: { key } })).join("\n"),
  },
  JSON: {
    batch: 20,
    repeats: true,
    path: "/v1/events",
    type: "application/json",
    body: (keys) => JSON.stringify(keys.map((key) => ({ event_type: "authz_fail", data: { key } }))),
  },
  OTLP: {
    batch: 200,
    repeats: true,
    path: "/v1/logs",
    type: "application/json",
    body: (keys) =>
      JSON.stringify({
        resourceLogs: [
          {
            scopeLogs: [
              {
                logRecords: keys.map((key) => ({
                  eventName: "authz_fail",
                  attributes: [{ key: "key", value: { stringValue: key } }],
                })),
              },
            ],
          },
        ],
      }),
  },
  // HTTPHandler sends each record once, whatever the response.
  LogRecord: {
    batch: 1,
    repeats: false,
    path: "/v1/events",
    type: "application/x-www-form-urlencoded",
    body: ([key]) => new URLSearchParams({ name: "security", msg: "authz_fail", levelno: "30", key }).toString(),
  },
};

export const COLLECT_FAULTS = [
  ...Object.entries(RECEIVERS).map(([name, receiver], index) => ({
    number: `40${"abcd"[index]}`,
    name: `collector: kill -9 while it receives ${name}`,
    runs: { full: 1, short: 1 },
    async run(context) {
      await receive(context, (scene) => overHttp(scene, receiver));
    },
  })),
  {
    number: "40e",
    name: "collector: kill -9 while it receives syslog over TCP",
    runs: { full: 1, short: 1 },
    async run(context) {
      await receive(context, overSyslog);
    },
  },
];

/** Sends events while the collector is killed, and compares what was acknowledged with what is stored. */
async function receive({ runs, short, world: create, finish, ran, expect, note }, send) {
  for (let run = 0; run < runs; run++) {
    const events = short ? 4_000 : 100_000;
    const world = await create();
    const scene = await openScene(world, events);
    const start = performance.now();
    const killing = killTimes(scene, expect);
    await send(scene);
    scene.ended = true;
    await killing;
    const seconds = (performance.now() - start) / 1000;
    await scene.stop();
    await world.drain();
    expect(world.sources.length === 0, `${world.sources.length} sources are left in the spool`);
    note(`${events} events in ${seconds.toFixed(1)} s with ${KILLS} kills, ${scene.repeated} requests sent again`);
    await finish(world, { select: SELECT });
    ran();
  }
}

async function openScene(world, events) {
  const made = world.startProgram(
    ["tokens", "create", "--json", "--spool", world.spool, "--name", "fault", "--service", SERVICE],
    {},
  );
  if ((await made.exited) !== 0) throw new Error(`no token: ${made.output}`);
  const { token } = JSON.parse(made.output);
  const [port, syslogPort] = [await steadyPort(), await steadyPort()];
  const listening = ["--listen", `127.0.0.1:${port}`, "--syslog", `tcp://127.0.0.1:${syslogPort}`];
  const args = ["collect", "--spool", world.spool, ...listening, "--syslog-sender", "fault", "--rate", "10000000"];
  const scene = {
    world,
    events,
    token,
    syslogPort,
    origin: `http://127.0.0.1:${port}`,
    sent: 0,
    repeated: 0,
    ended: false,
    collector: undefined,
    async start() {
      scene.collector = world.startProgram([...args, "--json"], { deadline: 900_000 });
      while (!scene.collector.output.includes("listening")) {
        if (scene.collector.ended) throw new Error(`the collector ended: ${scene.collector.output}`);
        await sleep(20);
      }
    },
    async stop() {
      scene.collector.child.kill("SIGTERM");
      const code = await scene.collector.exited;
      if (code !== 0) throw new Error(`the collector ended with ${code}: ${scene.collector.output}`);
    },
    /** The keys of the next batch, on record as tried. */
    next(count) {
      const keys = [];
      while (keys.length < count && scene.sent < events) {
        scene.sent += 1;
        const key = `collect-${scene.sent}`;
        world.write(`try ${key} ${contentHash({ data: { key } })} ${Date.now()}`);
        keys.push(key);
      }
      return keys;
    },
    acknowledge(keys) {
      for (const key of keys) world.write(`ack ${key} ${Date.now()}`);
    },
  };
  await scene.start();
  return scene;
}

/** Kills the collector at about a quarter, a half and three quarters of the events, and starts it again. */
async function killTimes(scene, expect) {
  for (let kill = 1; kill <= KILLS; kill++) {
    const at = (scene.events * kill) / (KILLS + 1) + Math.random() * 100;
    while (scene.sent < at && !scene.ended) await sleep(1);
    expect(!scene.ended, `kill ${kill} came after the last event`);
    await scene.collector.kill();
    await sleep(Math.random() * 100);
    await scene.start();
  }
}

const SENDERS = 4;

async function overHttp(scene, { batch, repeats, path, type, body }) {
  const sender = async () => {
    for (let keys = scene.next(batch); keys.length > 0; keys = scene.next(batch)) {
      const request = {
        method: "POST",
        headers: {
          "content-type": type,
          authorization: `Bearer ${scene.token}`,
          ...(repeats && { "idempotency-key": randomUUID() }),
        },
        body: body(keys),
      };
      while (!(await isTaken(`${scene.origin}${path}`, request)) && repeats) {
        scene.repeated += 1;
        await sleep(20);
      }
      if (repeats || request.taken) scene.acknowledge(keys);
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
}

/** Whether a request was answered with 200 or 202; any other answer than 503 is a mistake of this fault. */
async function isTaken(url, request) {
  let answer;
  try {
    answer = await fetch(url, request);
    await answer.arrayBuffer();
  } catch {
    return false;
  }
  if (answer.status !== 200 && answer.status !== 202 && answer.status !== 503) {
    throw new Error(`${url} answered ${answer.status}`);
  }
  request.taken = answer.status !== 503;
  return request.taken;
}

/** Lines, over one connection after the other. Syslog acknowledges nothing: what is promised is that nothing comes twice. */
async function overSyslog(scene) {
  let socket;
  while (scene.sent < scene.events) {
    if (socket === undefined || socket.destroyed) {
      socket = await connected(scene.syslogPort);
      continue;
    }
    const lines = scene
      .next(50)
      .map((key) => `<36>fault: ${JSON.stringify({ event_type: "authz_fail", data: { key } })}\n`);
    if (!socket.write(lines.join(""))) await Promise.race([event(socket, "drain"), event(socket, "close")]);
    await sleep(1);
  }
  if (socket === undefined || socket.destroyed) return;
  const closed = event(socket, "close");
  socket.end();
  await closed;
}

const event = (socket, name) => new Promise((done) => socket.once(name, done));

/** A connection; `undefined` while the collector is down. */
async function connected(port) {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await Promise.race([event(socket, "connect"), event(socket, "close")]);
  if (!socket.destroyed) return socket;
  await sleep(20);
  return undefined;
}
