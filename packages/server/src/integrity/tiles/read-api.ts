/**
 * Serves the log to verifiers according to https://c2sp.org/tlog-tiles: the newest checkpoint and the tree's tiles. Serves
 * entries only on request: they name hosts, routes and times, though no people.
 */
import { SeclogError } from "seclog";
import { HASH_BYTES, levelWidth, parseTilePath, TILE_WIDTH, type TileName } from "seclog/merkle";
import { databaseError } from "../../database/failure.ts";
import type { Queries } from "../../database/session.ts";
import { type HttpRequest, type HttpResponse, textResponse } from "../../http/service.ts";
import { storedCheckpoint, storedTiles } from "../stored-tree.ts";
import { AlteredError, entryBundle, PrunedError, readEntries } from "./entries.ts";

export interface ReadApiOptions {
  /** The reader's connections. */
  readonly pool: Queries;
  /** Whether to serve entries as well. */
  readonly entries: boolean;
  /** Receives the details that a response hides: the database's error, or which stored entry was altered. */
  readonly onError: (error: unknown) => void;
}

/** Tiles and bundles never change once served. */
const IMMUTABLE = "max-age=31536000, immutable";
const BYTES = "application/octet-stream";

const NOT_FOUND: HttpResponse = textResponse(404, "not found");

export class ReadApi {
  readonly #options: ReadApiOptions;

  constructor(options: ReadApiOptions) {
    this.#options = options;
  }

  async respond({ method, path }: HttpRequest): Promise<HttpResponse> {
    if (method !== "GET" && method !== "HEAD")
      return textResponse(405, "only GET and HEAD here", { allow: "GET, HEAD" });
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

  async #checkpoint(): Promise<HttpResponse> {
    const newest = await storedCheckpoint(this.#options.pool);
    if (newest === undefined) return NOT_FOUND;
    return {
      status: 200,
      headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "public, max-age=1" },
      body: newest.note,
    };
  }

  async #tile(name: TileName): Promise<HttpResponse> {
    const hashes = await this.#hashes(name);
    if (hashes === undefined) return NOT_FOUND;
    return { status: 200, headers: { "content-type": BYTES, "cache-control": `public, ${IMMUTABLE}` }, body: hashes };
  }

  async #bundle(name: TileName): Promise<HttpResponse> {
    const hashes = await this.#hashes(name);
    if (hashes === undefined) return NOT_FOUND;
    const entries = await readEntries(this.#options.pool, name.index * TILE_WIDTH, hashes);
    // Private: pruned entries must not live on in shared caches.
    return {
      status: 200,
      headers: { "content-type": BYTES, "cache-control": `private, ${IMMUTABLE}` },
      body: entryBundle(entries),
    };
  }

  /** A tile's hashes; `undefined` beyond the newest checkpoint, where nothing is signed yet. */
  async #hashes(name: TileName): Promise<Uint8Array | undefined> {
    const { rows } = await this.#options.pool.query<{ size: string | null }>(
      "SELECT max(size)::text AS size FROM public.security_event_checkpoint",
    );
    const size = Number(rows[0]?.size ?? 0);
    if (name.index * TILE_WIDTH + name.width > levelWidth(name.level, size)) return undefined;
    const [hashes] = await storedTiles(this.#options.pool)([name]);
    return hashes?.subarray(0, name.width * HASH_BYTES);
  }

  #failure(error: unknown): HttpResponse {
    if (error instanceof PrunedError) return textResponse(404, "pruned");
    const known = databaseError(error, "reader");
    this.#options.onError(known);
    if (error instanceof AlteredError || (known instanceof SeclogError && known.code === "SECLOG_TREE")) {
      return textResponse(500, "the stored log differs from what was sealed");
    }
    if (known instanceof SeclogError) return textResponse(503, "the database is unavailable", { "retry-after": "5" });
    return textResponse(500, "internal error");
  }
}
