/** An export: a folder with the answers that a verification read, so that the log can be verified elsewhere. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { InputError, VerifyError } from "./note.ts";
import type { Part, RawLog } from "./raw-log.ts";
import { WINDOW_LEAVES } from "./tile-names.ts";

const MANIFEST = "seclog-export.json";
const FORMAT = 1;

/** The file that holds the answer to a part. */
function fileOf(part: Part): string {
  if (!("window" in part)) return `${part.name}.copy`;
  return `${part.name}-${String(part.window).padStart(9, "0")}.copy`;
}

/**
 * Reads from `log`, and writes each answer to a file in a new folder for {@link folderLog}. Only its owner may read the
 * folder, because it holds the log's personal data.
 *
 * @param from the leaf with which the verification begins
 * @throws InputError when the folder is not empty, or cannot be created
 */
export function exportingLog(log: RawLog, directory: string, from: number): RawLog {
  withInputErrors(() => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (readdirSync(directory).length > 0) {
      throw new InputError(`${directory} is not empty: name a new folder for the export`);
    }
    writeFileSync(join(directory, MANIFEST), `${JSON.stringify({ format: FORMAT, window: WINDOW_LEAVES, from })}\n`);
  });
  return {
    async *read(part) {
      const file = openSync(join(directory, fileOf(part)), "wx", 0o600);
      try {
        for await (const piece of log.read(part)) {
          for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at);
          yield piece;
        }
      } finally {
        closeSync(file);
      }
    },
  };
}

/** Bytes of a file that are read at a time. */
const READ_BYTES = 262_144;

interface Manifest {
  readonly format?: number;
  readonly window?: number;
  readonly from?: number;
}

function readManifest(file: string): Manifest {
  let manifest: unknown;
  try {
    manifest = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (typeof manifest === "object" && manifest !== null) return manifest;
  throw new InputError(`${file} is not what seclog verify --write-export writes: it is damaged, so export again`);
}

/** Throws every failure of `open` as an InputError: the remedy is to name another folder. */
function withInputErrors(open: () => void): void {
  try {
    open();
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/**
 * The log of an export.
 *
 * @param from the leaf with which the verification begins: the export must begin there too
 * @throws InputError when the folder has no export, or one of another format or with another beginning
 */
export function folderLog(directory: string, from: number): RawLog {
  withInputErrors(() => {
    const manifest = join(directory, MANIFEST);
    if (!existsSync(manifest)) {
      throw new InputError(`${directory} has no ${MANIFEST}: it is not an export of seclog verify --write-export`);
    }
    const { format, window, ...begins } = readManifest(manifest);
    if (format !== FORMAT || window !== WINDOW_LEAVES) {
      throw new InputError(
        `${directory} has an export of another format (${format}): use the version of seclog that wrote it`,
      );
    }
    if (begins.from !== from) {
      throw new InputError(
        `the export begins with leaf ${begins.from}, the verification with leaf ${from}: use the --from that the export was written with`,
      );
    }
  });
  return {
    async *read(part) {
      const path = join(directory, fileOf(part));
      if (!existsSync(path)) throw new VerifyError(`${path} is missing: the export was not finished, or begins later`);
      const file = openSync(path, "r");
      try {
        for (;;) {
          const piece = Buffer.allocUnsafe(READ_BYTES);
          const length = readSync(file, piece, 0, READ_BYTES, null);
          if (length === 0) return;
          yield piece.subarray(0, length);
        }
      } finally {
        closeSync(file);
      }
    },
  };
}
