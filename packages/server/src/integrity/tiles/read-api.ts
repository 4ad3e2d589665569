/**
 * The log for everybody who checks it, as https://c2sp.org/tlog-tiles has it: the newest checkpoint, and the tiles of the
 * tree. Entries only where that was asked for: they name hosts, routes and times, though no person.
 */
import { SeclogError } from "seclog";
import { HASH_BYTES, levelWidth, parseTilePath, TILE_WIDTH, type TileName } from "seclog/merkle";
import { databaseError } from "../../database/failure.ts";
import type { Queries } from "../../database/session.ts";
import { type HttpAnswer, type HttpQuestion, textAnswer } from "../../http/service.ts";
import { storedCheckpoint, storedTiles } from "../stored-tree.ts";
import { AlteredError, entryBundle, PrunedError, readEntries } from "./entries.ts";

export interface ReadApiOptions {
  /** The reader's connections. */
  readonly pool: Queries;
  /** Whether entries are served, too. */
  readonly entries: boolean;
  /** Told of what an answer does not say: what the database said, or that what is stored was altered. */
  readonly onError: (error: unknown) => void;
}

/** What is once served never changes. */
const IMMUTABLE = "max-age=31536000, immutable";
const BYTES = "application/octet-stream";

const NOT_FOUND: HttpAnswer = textAnswer(404, "not found");

export class ReadApi {
  readonly #options: ReadApiOptions;

  constructor(options: ReadApiOptions) {
    this.#options = options;
  }

  async answer({ method, path }: HttpQuestion): Promise<HttpAnswer> {
    if (method !== "GET" && method !== "HEAD") return textAnswer(405, "only GET and HEAD here", { allow: "GET, HEAD" });
    try {
      if (path === "/checkpoint") return await this.#checkpoint();
      const bundle = /^\/tile\/entries\/(.+)$/.exec(path)?.[1];
      const name = parseTilePath(bundle === undefined ? path.slice(1) : `tile/0/${bundle}`);
      if (name === undefined || !path.startsWith("/")) return NOT_FOUND;
      if (bundle === undefined) return await this.#tile(name);
      return this.#options.entries ? await this.#bundle(name) : NOT_FOUND;
    } catch (error) {
      return this.#failure(error);
    }
  }

  async #checkpoint(): Promise<HttpAnswer> {
    const newest = await storedCheckpoint(this.#options.pool);
    if (newest === undefined) return NOT_FOUND;
    return {
      status: 200,
      headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "public, max-age=1" },
      body: newest.note,
    };
  }

  async #tile(name: TileName): Promise<HttpAnswer> {
    const hashes = await this.#hashes(name);
    if (hashes === undefined) return NOT_FOUND;
    return { status: 200, headers: { "content-type": BYTES, "cache-control": `public, ${IMMUTABLE}` }, body: hashes };
  }

  async #bundle(name: TileName): Promise<HttpAnswer> {
    const hashes = await this.#hashes(name);
    if (hashes === undefined) return NOT_FOUND;
    const entries = await readEntries(this.#options.pool, name.index * TILE_WIDTH, hashes);
    // For the one who asked: what retention takes away must not live on in caches that others share.
    return {
      status: 200,
      headers: { "content-type": BYTES, "cache-control": `private, ${IMMUTABLE}` },
      body: entryBundle(entries),
    };
  }

  /** A tile's hashes; `undefined` when the newest checkpoint does not reach as far: what is beyond nobody has signed yet. */
  async #hashes(name: TileName): Promise<Uint8Array | undefined> {
    const { rows } = await this.#options.pool.query<{ size: string | null }>(
      "SELECT max(size)::text AS size FROM public.security_event_checkpoint",
    );
    const size = Number(rows[0]?.size ?? 0);
    if (name.index * TILE_WIDTH + name.width > levelWidth(name.level, size)) return undefined;
    const [hashes] = await storedTiles(this.#options.pool)([name]);
    return hashes?.subarray(0, name.width * HASH_BYTES);
  }

  #failure(error: unknown): HttpAnswer {
    if (error instanceof PrunedError) return textAnswer(404, "pruned");
    const known = databaseError(error, "reader");
    this.#options.onError(known);
    if (error instanceof AlteredError || (known instanceof SeclogError && known.code === "SECLOG_TREE")) {
      return textAnswer(500, "what is stored is not what was sealed");
    }
    if (known instanceof SeclogError)
      return textAnswer(503, "the database cannot be asked now", { "retry-after": "5" });
    return textAnswer(500, "internal error");
  }
}
