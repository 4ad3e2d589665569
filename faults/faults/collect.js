/** The collector: killed while it receives, and its senders send again. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { steadyPort } from "#test/support/port.js";
import { contentHash } from "../check.js";
import { subfolder } from "../world.js";

const SERVICE = "fault";

/** That of applications/app.js. */
const APP_SERVICE = "faults";

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
  {
    number: 32,
    name: "collector: repeated, half-sent and hostile requests",
    runs: { full: 1, short: 1 },
    run: receiveAmongStrangers,
  },
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
  {
    number: "40f",
    name: "collector: kill -9 while an application sends envelopes",
    runs: { full: 1, short: 1 },
    run: receiveEnvelopes,
  },
];

/** Sends events while hostile requests come as well, and each sender gives up its first attempts halfway. */
async function receiveAmongStrangers({ runs, short, world: create, finish, ran, expect, note }) {
  for (let run = 0; run < runs; run++) {
    const world = await create();
    const scene = await openScene(world, short ? 4_000 : 40_000);
    const { batch, path, type, body } = RECEIVERS.NDJSON;
    let given = 0;
    const sender = async () => {
      for (let keys = scene.next(batch); keys.length > 0; keys = scene.next(batch)) {
        const key = randomUUID();
        const headers = { "content-type": type, authorization: `Bearer ${scene.token}`, "idempotency-key": key };
        const text = body(keys);
        for (let attempt = 0; attempt < 3; attempt++) {
          given += 1;
          if (attempt === 1) await halfSent(scene.origin, path, headers, text);
          else
            await isTaken(`${scene.origin}${path}`, {
              method: "POST",
              headers,
              body: text,
              signal: AbortSignal.timeout(1 + Math.floor(Math.random() * 20)),
            });
        }
        while (!(await isTaken(`${scene.origin}${path}`, { method: "POST", headers, body: text }))) await sleep(20);
        scene.acknowledge(keys);
      }
    };
    const strangers = hostileRequests(scene);
    try {
      await Promise.all(Array.from({ length: SENDERS }, sender));
    } finally {
      scene.ended = true;
    }
    const sent = await strangers;
    const status = readFileSync(`/proc/${scene.collector.child.pid}/status`, "utf8");
    const peak = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
    expect(peak < MOST_MIB, `the collector took ${Math.round(peak)} MiB`);
    await scene.stop();
    await world.drain();
    note(`${given} attempts given up, ${sent} hostile requests; the collector took at most ${Math.round(peak)} MiB`);
    await finish(world, { select: SELECT });
    ran();
  }
}

const MOST_MIB = 500;

/** Sends the header and half of a body, and goes away. */
async function halfSent(origin, path, headers, text) {
  const socket = connect(Number(new URL(origin).port), "127.0.0.1");
  socket.on("error", () => {});
  const lines = Object.entries({ host: "x", "content-length": Buffer.byteLength(text), ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  socket.write(`POST ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${text.slice(0, text.length / 2)}`);
  await sleep(Math.random() * 10);
  socket.destroy();
}

/** Bombs, garbage and wrong tokens, one after the other, until the senders have ended. */
async function hostileRequests(scene) {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, " "));
  const wrong = { authorization: "Bearer seclog_00000000_0000000000000000000000000000000000000000000" };
  const right = { authorization: `Bearer ${scene.token}` };
  const hostile = [
    ["/v1/events", { ...right, "content-type": "application/json", "content-encoding": "gzip" }, bomb, 413],
    ["/v1/events", { ...right, "content-type": "application/json" }, "[".repeat(1_000_000), 400],
    ["/v1/events", { ...right, "content-type": "application/json" }, `[${"{},".repeat(20_000)}{}]`, 413],
    ["/v1/events", { ...right, "content-type": "application/json" }, Buffer.from([0xff, 0xfe]), 400],
    ["/v1/logs", { ...right, "content-type": "application/x-protobuf" }, Buffer.alloc(100_000, 0x0a), 400],
    ["/v1/events", { ...wrong, "content-type": "application/json" }, "{}", 401, 429],
  ];
  let sent = 0;
  for (; !scene.ended; sent++) {
    const [path, headers, body, ...expected] = hostile[sent % hostile.length];
    let answer;
    try {
      answer = await fetch(`${scene.origin}${path}`, { method: "POST", headers, body });
      await answer.arrayBuffer();
    } catch {
      // A body that is refused early meets a closed connection.
      continue;
    }
    if (!expected.includes(answer.status))
      throw new Error(`hostile request ${sent % hostile.length} was answered with ${answer.status}`);
  }
  return sent;
}

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

/** The application's own spool, source and numbers: its rows are those of an application that writes to PostgreSQL. */
async function receiveEnvelopes({ runs, short, world: create, finish, ran, expect, note }) {
  for (let run = 0; run < runs; run++) {
    const events = short ? 4_000 : 100_000;
    const world = await create();
    const scene = await openScene(world, events, subfolder(world, "collector"));
    const collector = { url: scene.origin, token: scene.token };
    const start = performance.now();
    const app = await world.startApp({ count: events, perTurn: 100, inFlight: 5_000, wait: "stored", collector });
    for (let kill = 1; kill <= KILLS; kill++) {
      const position = async () =>
        (await world.query("SELECT coalesce(sum(last_seq), 0)::int AS seq FROM security_event_source"))[0].seq;
      while ((await position()) < (events * kill) / (KILLS + 1)) await sleep(5);
      await scene.collector.kill();
      await sleep(Math.random() * 500);
      await scene.start();
    }
    await app.done(600_000);
    await app.close();
    await scene.stop();
    expect(world.sources.length === 0, `${world.sources.length} sources are left in the spool`);
    note(`${events} events in ${((performance.now() - start) / 1000).toFixed(1)} s with ${KILLS} kills`);
    await finish(world);
    ran();
  }
}

async function openScene(world, events, spool = world.spool) {
  const services = [SERVICE, APP_SERVICE].flatMap((service) => ["--service", service]);
  const made = world.startProgram(["tokens", "create", "--json", "--spool", spool, "--name", "fault", ...services]);
  if ((await made.exited) !== 0) throw new Error(`no token: ${made.output}`);
  const { token } = JSON.parse(made.output);
  const [port, syslogPort] = [await steadyPort(), await steadyPort()];
  const listening = ["--listen", `127.0.0.1:${port}`, "--syslog", `tcp://127.0.0.1:${syslogPort}`];
  const args = ["collect", "--spool", spool, ...listening, "--syslog-sender", "fault", "--rate", "10000000"];
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
