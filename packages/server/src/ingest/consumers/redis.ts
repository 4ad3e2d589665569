/**
 * Redis Streams. Each of a queue's streams (shards) is read by one worker at a time, so that the messages of a source stay
 * in order: a worker holds a lease on the shards that it reads, as many as its share among the workers that are alive. It
 * renews leases every second, and they expire after five, so the shards of a dead worker move on within seconds, with what
 * that worker had received. Two workers on one shard, as after a long pause of one, do no harm: the database recognises
 * what is stored.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { errorMessage } from "seclog";
import {
  connectRedis,
  REDIS_SHARDS,
  type RedisCommands,
  type RedisKeys,
  redisKeys,
  shardOf,
  sourceOf,
} from "seclog/queues";
import type { Backlog, Consumer, ConsumerOptions, DeadLetters, Delivery } from "../consumer.ts";
import { Orphans } from "./orphans.ts";

const GROUP = "seclog-work";
/** Replies of a server that is full, or whose keys a stranger has replaced. */
const REFUSED = /^(?:\w*Error: )?(?:ERR )?(?:OOM|WRONGTYPE)\b/;
const LEASE_MS = 5_000;
const RENEW_MS = 1_000;
/** How long a read waits for messages. */
const BLOCK_MS = 500;
/** How long the newest position of a source is kept, in seconds; a sender that misses it asks. */
const POSITION_SECONDS = 3_600;
/** The longest message that can be an envelope, and what is kept of a longer one. */
const MOST_BYTES = 9 * 1024 * 1024;
const CUT_BYTES = 4_096;
/** How many messages one read brings. */
const AT_ONCE = 32;

/** Connects to Redis. */
export async function redisConsumer(options: ConsumerOptions): Promise<Consumer> {
  const [commands, reader] = await Promise.all([connectRedis("work", options.url), connectRedis("work", options.url)]);
  return new RedisConsumer(commands, reader, options);
}

/**
 * Puts messages that were given back into their streams again, once their time has come. Lua's strings hold any bytes. What a
 * stranger has put there goes to the dead letters: it must not stop the script.
 */
const REQUEUE = `
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 256)) do
  local shard, attempts, queued, at = string.match(member, '^(%d+) (%d+) (%d+) %S+ ()')
  local moved
  if shard and tonumber(shard) < tonumber(ARGV[3]) then
    moved = redis.pcall('XADD', ARGV[2] .. shard, '*', 'm', string.sub(member, at), 'a', attempts, 'q', queued)
  else
    moved = redis.pcall('XADD', KEYS[2], '*', 'm', member, 'code', 'SECLOG_ENVELOPE',
      'why', 'it was not given back by a worker', 'at', ARGV[1], 's', '0')
  end
  if not (type(moved) == 'table' and moved.err) then redis.call('ZREM', KEYS[1], member) end
end`;

/**
 * A script that does one thing with a message, if it is still to be settled, and then acknowledges and deletes it. In this
 * order: a server that is full refuses to write, and scripts are not rolled back.
 */
function settling(script: string): string {
  return `
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) == 0 then return 0 end
${script}
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return 1`;
}

/** Renews a lease for so many milliseconds, or returns it (0). Returns 1 while the caller has it. */
const RENEW = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1`;

class RedisConsumer implements Consumer {
  readonly title = "Redis";
  readonly dead: DeadLetters;
  readonly #commands: RedisCommands;
  /** Its reads block, so it has a connection of its own. */
  readonly #reader: RedisCommands;
  readonly #keys: RedisKeys;
  readonly #name: string = randomUUID();
  /** The shards that this worker reads. */
  #leased: readonly number[] = [];
  /** The shards whose key has another type. */
  #unusable = new Set<number>();
  readonly #orphans = new Orphans();
  readonly #onTrouble: (error: unknown) => void;

  constructor(commands: RedisCommands, reader: RedisCommands, options: ConsumerOptions) {
    this.#commands = commands;
    this.#reader = reader;
    this.#keys = redisKeys(options.queue);
    this.#onTrouble = options.onTrouble;
    this.dead = deadLetters(commands, this.#keys);
  }

  async run(take: (delivery: Delivery) => Promise<void>, signal: AbortSignal): Promise<void> {
    await this.#makeGroups();
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const renewing = this.#keepLeases(take, either).catch((error: unknown) => {
      failed.abort();
      throw error;
    });
    try {
      await Promise.all([renewing, this.#read(take, either)]);
    } finally {
      failed.abort();
      await renewing.catch(() => {});
      if (signal.aborted) await this.#returnLeases().catch(() => {});
    }
  }

  async answer(sourceId: string, message: Uint8Array): Promise<void> {
    await this.#commands.run([
      "SET",
      this.#keys.position(sourceId),
      Buffer.from(message),
      "EX",
      String(POSITION_SECONDS),
    ]);
  }

  async backlog(): Promise<Backlog> {
    let waiting = 0;
    let oldest: number | undefined;
    for (let shard = 0; shard < REDIS_SHARDS; shard++) {
      const stream = this.#keys.stream(shard);
      waiting += Number(await this.#commands.run(["XLEN", stream]));
      const [first] = entriesOf(await this.#commands.run(["XRANGE", stream, "-", "+", "COUNT", "1"]));
      const queuedAt = first === undefined ? undefined : queuedAtOf(first);
      if (queuedAt !== undefined && (oldest === undefined || queuedAt < oldest)) oldest = queuedAt;
    }
    waiting += Number(await this.#commands.run(["ZCARD", this.#keys.later]));
    const dead = Number(await this.#commands.run(["XLEN", this.#keys.dead]));
    return { waiting, oldestQueuedAt: oldest, dead };
  }

  async close(): Promise<void> {
    await Promise.all([this.#commands.close(), this.#reader.close()]);
  }

  /** Why some of the queue cannot be read; `undefined` if all of it can. */
  get problem(): string | undefined {
    const [first] = this.#unusable;
    return first === undefined ? undefined : `Redis: the key ${this.#keys.stream(first)} is not a stream: delete it`;
  }

  async #makeGroups(): Promise<void> {
    this.#unusable = new Set();
    for (let shard = 0; shard < REDIS_SHARDS; shard++) {
      try {
        await this.#commands.run(["XGROUP", "CREATE", this.#keys.stream(shard), GROUP, "0", "MKSTREAM"]);
      } catch (error) {
        if (String(error).includes("WRONGTYPE")) this.#unusable.add(shard);
        // A server that is full refuses this although the group may be there; reading is what frees its memory.
        else if (!/BUSYGROUP|OOM/.test(String(error))) throw error;
      }
    }
  }

  /** Renews the leases, and takes or returns some so that every live worker has its share. */
  async #keepLeases(take: (delivery: Delivery) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const before = this.#leased;
      try {
        const now = await this.#now();
        this.#leased = await this.#share(now);
        const later = [this.#keys.later, this.#keys.dead, String(now), this.#keys.stream(0).slice(0, -1)];
        await this.#commands.run(["EVAL", REQUEUE, "2", ...later, String(REDIS_SHARDS)]);
      } catch (error) {
        if (!REFUSED.test(errorMessage(error))) throw error;
        // Leases are for order alone. Without them, this worker reads everything.
        this.#onTrouble(error);
        this.#leased = this.#usable();
      }
      for (const shard of this.#leased) if (!before.includes(shard)) await this.#claim(shard, take, signal);
      await sleep(RENEW_MS, undefined, { signal }).catch(() => {});
    }
  }

  #usable(): number[] {
    return startingAnywhere().filter((shard) => !this.#unusable.has(shard));
  }

  /** The shards on which this worker has a lease, after renewing, taking and returning some. */
  async #share(now: number): Promise<number[]> {
    await this.#commands.run(["ZADD", this.#keys.workers, String(now), this.#name]);
    // Also those from the future: of a stranger, or of before the server's clock was set back.
    await this.#commands.run(["ZREMRANGEBYSCORE", this.#keys.workers, "-inf", String(now - LEASE_MS)]);
    await this.#commands.run(["ZREMRANGEBYSCORE", this.#keys.workers, String(now + LEASE_MS), "+inf"]);
    const workers = Math.max(1, Number(await this.#commands.run(["ZCARD", this.#keys.workers])));
    const share = Math.ceil(REDIS_SHARDS / workers);
    const surplus = this.#orphans.surplus(this.#leased, share);
    const leased: number[] = [];
    for (const shard of this.#leased) if (await this.#renew(shard, !surplus.includes(shard))) leased.push(shard);
    const usable = this.#usable();
    const leases = await this.#commands.run(["MGET", ...usable.map((shard) => this.#keys.lease(shard))]);
    for (const [index, shard] of usable.entries()) {
      const free = Array.isArray(leases) && leases[index] === null;
      const orphan = this.#orphans.see(shard, free);
      if (!free || (leased.length >= share && !orphan) || !(await this.#take(shard))) continue;
      leased.push(shard);
      if (orphan) this.#orphans.keep(shard);
    }
    return leased;
  }

  /** Redis's clock, in milliseconds since the epoch: the workers' own may differ by days. */
  async #now(): Promise<number> {
    const [seconds, micros] = (await this.#commands.run(["TIME"])) as unknown[];
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  }

  async #take(shard: number): Promise<boolean> {
    const reply = await this.#commands.run(["SET", this.#keys.lease(shard), this.#name, "NX", "PX", String(LEASE_MS)]);
    return String(reply) === "OK";
  }

  /** Renews a lease, or returns it. False when this worker does not have it any more. */
  async #renew(shard: number, keep: boolean): Promise<boolean> {
    const ms = keep ? String(LEASE_MS) : "0";
    return Number(await this.#commands.run(["EVAL", RENEW, "1", this.#keys.lease(shard), this.#name, ms])) === 1;
  }

  async #returnLeases(): Promise<void> {
    for (const shard of this.#leased) await this.#renew(shard, false);
    this.#leased = [];
    await this.#commands.run(["ZREM", this.#keys.workers, this.#name]);
  }

  /** Takes over what another worker received from a shard and did not finish. */
  async #claim(shard: number, take: (delivery: Delivery) => Promise<void>, signal: AbortSignal): Promise<void> {
    const stream = this.#keys.stream(shard);
    let from = "0-0";
    do {
      const reply = await this.#commands.run([
        ...(["XAUTOCLAIM", stream, GROUP, this.#name, "0", from] as const),
        ...["COUNT", String(AT_ONCE)],
      ]);
      const [next, entries] = Array.isArray(reply) ? reply : [];
      for (const entry of entriesOf(entries)) await take(this.#delivery(shard, entry, 1));
      from = String(next ?? "0-0");
    } while (from !== "0-0" && !signal.aborted);
  }

  async #read(take: (delivery: Delivery) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const shards = this.#leased;
      if (shards.length === 0) {
        await sleep(50, undefined, { signal }).catch(() => {});
        continue;
      }
      const reply = await this.#reader.run([
        ...(["XREADGROUP", "GROUP", GROUP, this.#name, "COUNT", String(AT_ONCE), "BLOCK", String(BLOCK_MS)] as const),
        ...["STREAMS", ...shards.map((shard) => this.#keys.stream(shard)), ...shards.map(() => ">")],
      ]);
      for (const [name, entries] of streamsOf(reply)) {
        const shard = shards.find((number) => this.#keys.stream(number) === name) ?? 0;
        for (const entry of entriesOf(entries)) await take(this.#delivery(shard, entry, 0));
      }
    }
  }

  /** @param claimed how many deliveries of another worker came before */
  #delivery(shard: number, { id, fields }: Entry, claimed: number): Delivery {
    const stream = this.#keys.stream(shard);
    const whole = fields.get("m") ?? Buffer.alloc(0);
    // Longer than any envelope: a stranger's. What remains of it is a dead letter.
    const bytes = whole.length > MOST_BYTES ? Buffer.from(whole.subarray(0, CUT_BYTES)) : whole;
    const before = countOf(fields.get("a")) ?? 0;
    const queuedAt = queuedAtOf({ id, fields });
    /** Removes the message and does one thing more, unless another worker has done so. */
    const settle = async (
      script: string,
      keys: readonly string[],
      args: readonly (string | Buffer)[],
    ): Promise<void> => {
      const names = [stream, ...keys];
      await this.#commands.run(["EVAL", settling(script), String(names.length), ...names, GROUP, id, ...args]);
    };
    return {
      bytes,
      attempts: 1 + before + claimed,
      queuedAt,
      done: () => settle("", [], []),
      release: async (delayMs) => {
        const again = `${shard} ${before + claimed + 1} ${queuedAt} ${randomUUID()} `;
        const due = String((await this.#now()) + delayMs);
        await settle(
          "redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])",
          [this.#keys.later],
          [due, Buffer.concat([Buffer.from(again), bytes])],
        );
      },
      bury: ({ code, message }) =>
        settle(
          "redis.call('XADD', KEYS[2], '*', 'm', ARGV[3], 'code', ARGV[4], 'why', ARGV[5], 'at', ARGV[6], 's', ARGV[7])",
          [this.#keys.dead],
          [bytes, code, message, String(Date.now()), String(shard)],
        ),
    };
  }
}

function deadLetters(commands: RedisCommands, keys: RedisKeys): DeadLetters {
  const find = async (id: string): Promise<Entry | undefined> =>
    /^\d+-\d+$/.test(id) ? entriesOf(await commands.run(["XRANGE", keys.dead, id, id]))[0] : undefined;
  return {
    async list(limit) {
      const entries = entriesOf(await commands.run(["XRANGE", keys.dead, "-", "+", "COUNT", String(limit)]));
      return entries.map(({ id, fields }) => ({
        id,
        at: Number(fields.get("at")?.toString()),
        code: fields.get("code")?.toString() ?? "",
        message: fields.get("why")?.toString() ?? "",
        bytes: fields.get("m") ?? Buffer.alloc(0),
      }));
    },
    async retry(id) {
      const entry = await find(id);
      const bytes = entry?.fields.get("m");
      if (entry === undefined || bytes === undefined) return false;
      const sourceId = sourceOf(bytes);
      // A stranger can write dead letters, with any shard.
      const came = countOf(entry.fields.get("s")) ?? 0;
      const shard = sourceId === undefined ? came % REDIS_SHARDS : shardOf(sourceId);
      await commands.run(["XADD", keys.stream(shard), "*", "m", bytes]);
      await commands.run(["XDEL", keys.dead, id]);
      return true;
    },
    async drop(id) {
      return /^\d+-\d+$/.test(id) && Number(await commands.run(["XDEL", keys.dead, id])) === 1;
    },
  };
}

interface Entry {
  readonly id: string;
  readonly fields: ReadonlyMap<string, Buffer>;
}

function queuedAtOf({ id, fields }: Entry): number {
  return countOf(fields.get("q")) ?? Number(id.split("-")[0]);
}

/** A number of a message, which a stranger may have written. */
function countOf(field: Buffer | undefined): number | undefined {
  const text = field?.toString("latin1") ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** The entries of a stream. One that was deleted is listed without its fields. */
function entriesOf(reply: unknown): Entry[] {
  if (!Array.isArray(reply)) return [];
  return reply.flatMap((entry: unknown) => {
    const [id, list] = Array.isArray(entry) ? (entry as [unknown, unknown]) : [];
    if (!Array.isArray(list)) return [];
    const fields = new Map<string, Buffer>();
    for (let i = 0; i + 1 < list.length; i += 2) fields.set(String(list[i]), Buffer.from(list[i + 1] as Buffer));
    return [{ id: String(id), fields }];
  });
}

/** XREADGROUP's reply: pairs in RESP 2; in RESP 3 a map, which clients also return as a flat list. Null if nothing came. */
function streamsOf(reply: unknown): [name: string, entries: unknown][] {
  if (reply instanceof Map) return [...reply].map(([name, entries]) => [String(name), entries]);
  if (!Array.isArray(reply)) return [];
  if (Array.isArray(reply[0])) return reply.map(([name, entries]: unknown[]) => [String(name), entries]);
  return Array.from({ length: reply.length / 2 }, (_, i) => [String(reply[2 * i]), reply[2 * i + 1]]);
}

/** All shards, from a random one on: workers that start together do not ask for the same ones. */
function startingAnywhere(): number[] {
  const start = Math.floor(Math.random() * REDIS_SHARDS);
  return Array.from({ length: REDIS_SHARDS }, (_, i) => (start + i) % REDIS_SHARDS);
}
