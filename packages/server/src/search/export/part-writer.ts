/** Writes one file of an export: compressed if asked for, hashed as it is written, and in place only when it is whole. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { open, rename } from "node:fs/promises";
import { finished } from "node:stream/promises";
import { createGzip, type Gzip } from "node:zlib";

/** What a file holds. */
export interface WrittenPart {
  /** Its name in the export's folder. */
  readonly file: string;
  readonly rows: number;
  /** Its size, and the SHA-256 of its bytes. */
  readonly bytes: number;
  readonly sha256: string;
}

/** A file under way. Its name ends in `.partial` until {@link PartWriter.finish}. */
export class PartWriter {
  readonly #path: string;
  readonly #name: string;
  readonly #hash = createHash("sha256");
  readonly #file: WriteStream;
  readonly #gzip: Gzip | undefined;
  /** Rejects when the file fails: no pause for compression may last longer. */
  readonly #failure: Promise<never>;
  #bytes = 0;
  #rows = 0;
  /** The bytes so far, before compression. */
  plainBytes = 0;

  /** @param path the folder and the file's name in it, which does not exist yet */
  constructor(folder: string, name: string, gzip: boolean) {
    this.#name = name;
    this.#path = `${folder}/${name}`;
    this.#file = createWriteStream(`${this.#path}.partial`, { mode: 0o600 });
    this.#failure = new Promise((_, failed) => this.#file.on("error", failed));
    // The next write reports it, or finish().
    this.#failure.catch(() => {});
    if (!gzip) return;
    this.#gzip = createGzip();
    this.#gzip.on("data", (chunk: Buffer) => {
      this.#keep(chunk);
      if (!this.#file.write(chunk)) {
        this.#gzip?.pause();
        this.#file.once("drain", () => this.#gzip?.resume());
      }
    });
  }

  /** Appends rows, at the pace of the disk. */
  async write(text: string, rows: number): Promise<void> {
    const bytes = Buffer.from(text);
    this.#rows += rows;
    this.plainBytes += bytes.length;
    if (this.#file.errored) throw this.#file.errored;
    if (this.#gzip !== undefined) {
      if (!this.#gzip.write(bytes)) await Promise.race([once(this.#gzip, "drain"), this.#failure]);
      return;
    }
    this.#keep(bytes);
    if (!this.#file.write(bytes)) await once(this.#file, "drain");
  }

  /** Makes the file durable and gives it its name. */
  async finish(): Promise<WrittenPart> {
    if (this.#gzip !== undefined) {
      const end = once(this.#gzip, "end");
      this.#gzip.end();
      await Promise.race([end, this.#failure]);
    }
    this.#file.end();
    await finished(this.#file);
    const handle = await open(`${this.#path}.partial`, "r+");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${this.#path}.partial`, this.#path);
    return { file: this.#name, rows: this.#rows, bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }

  /** Gives the file up. What is there is overwritten by the next attempt. */
  abandon(): void {
    this.#gzip?.destroy();
    this.#file.destroy();
  }

  #keep(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
  }
}
