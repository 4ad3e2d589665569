/** The console's pages over HTTP, from a folder of files with traps in it. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { request as send } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startFetchService } from "../http/fetch-service.ts";
import type { HttpService } from "../http/listening.ts";
import { basePathOf, below } from "./base-path.ts";
import { openSite } from "./site.ts";
import { withPages } from "./with-pages.ts";

const SCRIPT = `console.log(${JSON.stringify("seclog ".repeat(500))});`;
let folder: string;
let service: HttpService;
const errors: unknown[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "seclog-site-"));
  const site = join(folder, "console");
  mkdirSync(join(site, "assets"), { recursive: true });
  writeFileSync(join(folder, "secret.txt"), "secret");
  writeFileSync(join(site, "index.html"), '<!doctype html><base href="/"><title>Seclog</title>');
  writeFileSync(join(site, "assets", "index-Ab12_cd9.js"), SCRIPT);
  writeFileSync(join(site, "assets", "mark-Ab12_cd9.png"), Buffer.alloc(4_000, 1));
  writeFileSync(join(site, "icon.svg"), "<svg/>");
  writeFileSync(join(site, ".env"), "secret");
  symlinkSync(join(folder, "secret.txt"), join(site, "link.txt"));
  symlinkSync(folder, join(site, "up"));
  const pages = openSite(site);
  if (pages === undefined) throw new Error("no pages");
  const api = (request: Request): Response => new Response(`api ${new URL(request.url).pathname}`);
  service = await startFetchService({
    listen: { host: "127.0.0.1", port: 0 },
    fetch: withPages(pages, "/ops/seclog/", api),
    onError: (error) => errors.push(error),
  });
});
afterAll(async () => {
  await service.close(100);
  rmSync(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly bytes: Buffer;
}

/** Sends the path as it is: `fetch` would resolve its dots. */
async function get(path: string, headers: { [name: string]: string } = {}, method = "GET"): Promise<Answer> {
  return await new Promise((done, failed) => {
    const { hostname, port } = new URL(service.url);
    const sent = send({ hostname, port, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("end", () =>
        done({ status: response.statusCode, headers: response.headers, bytes: Buffer.concat(chunks) }),
      );
    });
    sent.once("error", failed).end();
  });
}

describe("the console's pages", () => {
  it("come below the base path, and at the root if a proxy has removed it", async () => {
    for (const base of ["/ops/seclog", ""]) {
      for (const path of ["", "/", "/index.html", "/explore?q=a", "/entities/route/%2Fadmin%2F..%2Fx", "/events/1.2"]) {
        const { status, headers, bytes } = await get(`${base}${path}` || "/");
        expect([path, status, headers["content-type"]]).toEqual([path, 200, "text/html; charset=utf-8"]);
        expect(bytes.toString()).toContain('<base href="/ops/seclog/">');
      }
      for (const path of ["/assets/index-Ab12_cd9.js", "/icon.svg"])
        expect((await get(`${base}${path}`)).headers["content-type"]).not.toContain("html");
      expect((await get(`${base}/api/v1/sources`)).bytes.toString()).toBe(`api ${base}/api/v1/sources`);
    }
  });

  it("keep names with a hash for a year, and ask again for all others", async () => {
    const asset = await get("/assets/index-Ab12_cd9.js");
    expect(asset.headers["cache-control"]).toBe("public, max-age=31536000, immutable");
    const page = await get("/");
    expect(page.headers["cache-control"]).toBe("no-cache");
    for (const [path, etag] of [
      ["/assets/index-Ab12_cd9.js", asset.headers["etag"]],
      ["/", page.headers["etag"]],
    ]) {
      const again = await get(String(path), { "if-none-match": `"x", ${String(etag)}` });
      expect([again.status, again.bytes.length]).toEqual([304, 0]);
    }
    // A page of a version that is gone must not get HTML for its script.
    expect((await get("/assets/index-00000000.js")).status).toBe(404);
  });

  it("are compressed as the client accepts", async () => {
    const plain = (encoding: string): Promise<Answer> =>
      get("/assets/index-Ab12_cd9.js", { "accept-encoding": encoding });
    const [br, zip, none, refused] = await Promise.all(["gzip, br", "gzip;q=0.5", "deflate", "br;q=0"].map(plain));
    expect(brotliDecompressSync(br?.bytes ?? "").toString()).toBe(SCRIPT);
    expect(gunzipSync(zip?.bytes ?? "").toString()).toBe(SCRIPT);
    expect(none?.bytes.toString()).toBe(SCRIPT);
    expect(refused?.bytes.toString()).toBe(SCRIPT);
    const picture = await get("/assets/mark-Ab12_cd9.png", { "accept-encoding": "br" });
    expect(picture.headers["content-encoding"]).toBeUndefined();
  });

  it("run no script but their own, and in no frame", async () => {
    for (const path of ["/", "/assets/index-Ab12_cd9.js", "/assets/none.js"]) {
      const { headers } = await get(path);
      expect(headers["content-security-policy"]).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
      );
      expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "x-frame-options": "DENY" });
    }
  });

  it("let no path out of their folder", async () => {
    const ways = ["/../secret.txt", "/..%2Fsecret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt", "/.env"];
    const more = ["/..\\secret.txt", "/link.txt", "/up/secret.txt", "/%00", "/icon.svg%00.js", "//secret.txt"];
    const odd = ["/assets/%2e%2e/%2e%2e/secret.txt", "/%c0%ae%c0%ae/secret.txt", "/%", "/__proto__", "//"];
    for (const path of [...ways, ...more, ...odd]) {
      const { status, bytes } = await get(path);
      expect([path, bytes.toString()]).not.toEqual([path, "secret"]);
      expect([200, 400, 404]).toContain(status);
    }
    expect(errors).toEqual([]);
  });

  it("refuse to be written", async () => {
    const { status, headers } = await get("/", {}, "POST");
    expect([status, headers["allow"]]).toEqual([405, "GET, HEAD"]);
    const head = await get("/", {}, "HEAD");
    expect([head.status, head.bytes.length]).toEqual([200, 0]);
  });
});

describe("a base path", () => {
  it("has a slash at both ends", () => {
    expect(["", "/", "ops", "/ops/", "/ops/seclog", "//ops//"].map(basePathOf)).toEqual([
      "/",
      "/",
      "/ops/",
      "/ops/",
      "/ops/seclog/",
      "/ops/",
    ]);
    for (const path of ["/../x", "/a//b", '/"><script>', "/a?b", "/a b", "/%2e/"])
      expect(basePathOf(path)).toBeUndefined();
  });

  it("is removed from a path once", () => {
    expect([below("/ops/", "/ops/api"), below("/ops/", "/ops"), below("/ops/", "/api"), below("/", "/api")]).toEqual([
      "api",
      "",
      "api",
      "api",
    ]);
  });
});

it("openSite() - finds nothing in a folder that was not built", () => {
  expect(openSite(join(folder, "absent"))).toBeUndefined();
});
