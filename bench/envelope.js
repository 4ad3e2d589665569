/**
 * Where compression of an envelope pays: the canonical records of a batch, as `queues/envelope.ts` lays them out,
 * through gzip and Brotli by level; and what sealing costs beside that. The events are those of a shop: each has its
 * own address, path, actor and ids.
 */
import { createCipheriv, hkdfSync, randomBytes, randomUUID } from "node:crypto";
import { brotliCompressSync, constants, gunzipSync, gzipSync } from "node:zlib";
import { encodeEvent } from "seclog";
import { median, table } from "./report.js";

const brotli = (quality) => (body) =>
  brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } });

const WAYS = {
  "gzip, level 1": (body) => gzipSync(body, { level: 1 }),
  "gzip, level 6": (body) => gzipSync(body, { level: 6 }),
  "gzip, level 9": (body) => gzipSync(body, { level: 9 }),
  "Brotli, quality 1": brotli(1),
  "Brotli, quality 4": brotli(4),
  "sealing alone": seal,
};

/** @param {{ rounds?: number, sizes?: readonly number[] }} options */
export function benchEnvelope({ rounds = 31, sizes = [1, 10, 100, 1_000] } = {}) {
  const figures = [];
  for (const size of sizes) {
    const body = bodyOf(size);
    const times = Object.fromEntries(Object.keys(WAYS).map((way) => [way, []]));
    const unpacking = [];
    const lengths = {};
    const packed = gzipSync(body, { level: 1 });
    for (let round = 0; round < rounds; round++) {
      for (const [way, run] of Object.entries(WAYS))
        times[way].push(microseconds(() => (lengths[way] = run(body).length)));
      unpacking.push(microseconds(() => gunzipSync(packed)));
    }
    for (const way of Object.keys(WAYS)) {
      figures.push({ size, way, share: lengths[way] / body.length, micros: median(times[way]), bytes: body.length });
    }
    figures.push({ size, way: "gunzip", share: 1, micros: median(unpacking), bytes: body.length });
  }
  console.log(`\nThe body of an envelope: median of ${rounds} rounds in turn\n`);
  table(
    ["", "events", "bytes", "of them left", "µs", "µs/event", "MB/s"],
    figures.map(({ size, way, share, micros, bytes }) => [
      way,
      String(size),
      String(bytes),
      `${(share * 100).toFixed(0)} %`,
      micros.toFixed(0),
      (micros / size).toFixed(1),
      (bytes / micros).toFixed(0),
    ]),
  );
  return figures;
}

/** HKDF, AES-256-GCM and the tag, as for one envelope. */
function seal(body) {
  const key = Buffer.from(hkdfSync("sha256", SECRET, randomBytes(16), "seclog envelope 1", 32));
  const cipher = createCipheriv("aes-256-gcm", key, randomBytes(12), { authTagLength: 16 });
  return Buffer.concat([cipher.update(body), cipher.final(), cipher.getAuthTag()]);
}

const SECRET = randomBytes(32);

function bodyOf(count) {
  const parts = [];
  for (let seq = 1; seq <= count; seq++) {
    const record = Buffer.from(encodeEvent(event(seq)));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(record.length);
    parts.push(length, record);
  }
  return Buffer.concat(parts);
}

const AGENTS = [
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
];

function event(seq) {
  const random = randomBytes(8);
  return {
    v: 1,
    id: randomUUID(),
    occurredAt: new Date(1_796_000_000_000 + seq * 7).toISOString().replace("Z", `${100 + (seq % 900)}Z`),
    sourceId: "01936d2f-5c00-7000-8000-000000000001",
    epoch: 1,
    seq,
    type: ["authn_login_fail", "authz_fail", "illegal_request_method"][random[0] % 3],
    level: "warning",
    category: "authn",
    outcome: "failure",
    logger: "security",
    service: "shop",
    environment: "production",
    host: "shop-7d9f6c5b8-x2x9k",
    method: "POST",
    route: "/orders/:id",
    statusCode: 403,
    actorId: String(random.readUInt16BE(1)),
    actorType: "user",
    ipAddress: `203.0.${random[3]}.${random[4]}`,
    ipSource: "proxy",
    path: `/orders/${random.readUInt32BE(4)}`,
    requestHost: "shop.example.com",
    requestId: randomUUID(),
    userAgent: AGENTS[random[5] % AGENTS.length],
    data: { orderId: random.readUInt32BE(4), reason: "not the owner" },
  };
}

function microseconds(run) {
  const start = process.hrtime.bigint();
  run();
  return Number(process.hrtime.bigint() - start) / 1_000;
}
