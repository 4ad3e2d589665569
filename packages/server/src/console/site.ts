/**
 * The console's pages as files. All are read when the server starts, and a request is looked up among them by its exact
 * path, so that no path, however it is written, reaches a file outside of the folder.
 */
import { createHash } from "node:crypto";
import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

/** The built pages. */
export interface Site {
  /**
   * The response to GET or HEAD of a path.
   *
   * @param path below the base path, without a slash before it, still encoded
   * @param base what the page's relative addresses are relative to
   */
  respond(request: Request, path: string, base: string): Promise<Response>;
}

interface SiteFile {
  readonly type: string;
  readonly bytes: Buffer;
  /** Whether it shrinks when it is compressed. */
  readonly shrinks: boolean;
  readonly etag: string;
  /** By encoding, made at the first request for it. */
  readonly compressed: Map<Encoding, Promise<Buffer>>;
}

type Encoding = "br" | "gzip";

const PAGE = "index.html";

const TYPES: { readonly [ending: string]: string } = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".ico": "image/x-icon",
  ".png": "image/png",
  ".woff2": "font/woff2",
};

/** Compressed already. */
const PACKED = new Set([".ico", ".png", ".woff2"]);
const LEAST_COMPRESSED = 1_024;

/** Vite writes a hash of the content into these names. */
const HASHED = /^assets\/[\w.-]+-[\w-]{8,}\.\w+$/;

const YEAR = 31_536_000;

/** Neither a script nor a style of another place, or in the page's text, runs; and no other site frames the page. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "font-src 'self'",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

const HEADERS = {
  "content-security-policy": POLICY,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** Reads the pages. `undefined` if the folder has no `index.html`: it was not built. */
export function openSite(folder: string): Site | undefined {
  const files = new Map<string, SiteFile>(filesOf(folder).map((path) => [path, readSiteFile(join(folder, path))]));
  const page = files.get(PAGE);
  if (page === undefined) return undefined;
  const text = page.bytes.toString();
  return {
    async respond(request, path, base) {
      if (request.method !== "GET" && request.method !== "HEAD")
        return plain(405, "only GET and HEAD here", { allow: "GET, HEAD" });
      const file = path === PAGE ? undefined : files.get(path);
      if (file !== undefined)
        return await sent(request, file, HASHED.test(path) ? `public, max-age=${YEAR}, immutable` : "no-cache");
      // A page of an earlier version asks for files that are gone: HTML in their place would be an error of the browser.
      if (path.startsWith("assets/"))
        return plain(404, "this file is of another version of the console: reload the page");
      const bytes = Buffer.from(text.replace(/<base\s[^>]*>/i, `<base href="${base}">`));
      return await sent(request, { ...page, bytes, etag: tagOf(bytes), compressed: new Map() }, "no-cache");
    },
  };
}

/** A sentence as a response, with the headers of every page. */
export function plain(status: number, sentence: string, headers: { readonly [name: string]: string } = {}): Response {
  const type = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" };
  return new Response(`${sentence}\n`, { status, headers: { ...HEADERS, ...type, ...headers } });
}

async function sent(request: Request, file: SiteFile, caching: string): Promise<Response> {
  const headers = { ...HEADERS, "cache-control": caching, etag: file.etag, vary: "accept-encoding" };
  if (isFresh(request.headers.get("if-none-match"), file.etag)) return new Response(null, { status: 304, headers });
  const encoding = file.shrinks ? encodingOf(request) : undefined;
  const bytes = encoding === undefined ? file.bytes : await compressed(file, encoding);
  const more = encoding === undefined ? {} : { "content-encoding": encoding };
  return new Response(request.method === "HEAD" ? null : new Uint8Array(bytes), {
    headers: { ...headers, ...more, "content-type": file.type, "content-length": String(bytes.length) },
  });
}

/** Compressed content has another tag than plain content only for a comparison byte by byte, hence `W/`. */
function tagOf(bytes: Buffer): string {
  return `W/"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
}

function isFresh(known: string | null, etag: string): boolean {
  const tags = known?.split(",").map((tag) => tag.trim()) ?? [];
  return tags.includes(etag) || tags.includes(etag.slice(2));
}

/** The encoding that the client accepts; one with `q=0` is refused by it. */
function encodingOf(request: Request): Encoding | undefined {
  const accepted = (request.headers.get("accept-encoding") ?? "").split(",").map((text) => text.trim().toLowerCase());
  return (["br", "gzip"] as const).find((name) =>
    accepted.some((text) => text === name || (text.startsWith(`${name};`) && !/;\s*q=0(?:\.0*)?$/.test(text))),
  );
}

const brotli = promisify(brotliCompress);
const zip = promisify(gzip);

async function compressed({ bytes, compressed: kept }: SiteFile, encoding: Encoding): Promise<Buffer> {
  const found = kept.get(encoding);
  if (found !== undefined) return await found;
  const made =
    encoding === "br" ? brotli(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }) : zip(bytes, { level: 9 });
  kept.set(encoding, made);
  return await made;
}

/** The names of the files below a folder, with slashes. Links, sockets and hidden files are left out. */
function filesOf(folder: string): readonly string[] {
  return entriesOf(folder).flatMap((entry) => {
    if (entry.name.startsWith(".")) return [];
    if (entry.isDirectory()) return filesOf(join(folder, entry.name)).map((path) => `${entry.name}/${path}`);
    return entry.isFile() ? [entry.name] : [];
  });
}

function entriesOf(folder: string): readonly Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function readSiteFile(path: string): SiteFile {
  const bytes = readFileSync(path);
  return {
    type: TYPES[extname(path)] ?? "application/octet-stream",
    bytes,
    shrinks: bytes.length >= LEAST_COMPRESSED && !PACKED.has(extname(path)),
    etag: tagOf(bytes),
    compressed: new Map(),
  };
}
