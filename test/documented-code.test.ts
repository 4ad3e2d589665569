/** Compiles the code of the pages, and the short forms of each capture that people write, with strict settings. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { filesBelow } from "../scripts/files.js";
import { isLong } from "./support/long.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));

/** Every page that shows TypeScript, except the packed copies of `docs/`. readme.test.ts runs the README as a whole. */
const PAGES = ["docs", "packages", "examples"]
  .flatMap((folder) => filesBelow(join(repository, folder)))
  .map((path) => relative(repository, path))
  .filter((path) => path.endsWith(".md") && !/(^|\/)(dist|var|api|node_modules)\/|^packages\/\w+\/docs\//.test(path))
  .filter((page) => blocks(page).length > 0);

/** What the pages use without declaring it. */
const PRELUDE = `
import type { SecurityLog } from "seclog";
declare global {
  const security: SecurityLog;
}
`;

/** Forms that compile without a framework's types. */
const BARE = `
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { createSecurityLog, setActor } from "seclog";
import { checkAccess, recordLogin, type RequestListener, securityCapture, watchServer } from "seclog/http";
import { securityCapture as expressCapture } from "seclog/express";
import { securityCapture as fastifyCapture } from "seclog/fastify";
import { fileHandler } from "seclog/file";

const log = createSecurityLog({ spool: "memory", handlers: [fileHandler({ path: "x.ndjson" })], clientIp: { trust: ["unix"] } });
const server = http.createServer(securityCapture(log, (req, res) => {
  setActor(String(req.headers["x-account"]));
  recordLogin(log, req, { success: false });
  res.statusCode = checkAccess(log, req, false) ? 200 : 403;
  res.end(req.url);
}));
watchServer(log, server);
http.createServer({ keepAlive: true }, securityCapture(log, async (req, res) => void res.end(req.method)));
https.createServer({}, securityCapture(log, (req, res) => void res.writeHead(403).end(req.socket.remoteAddress)));
http2.createServer(securityCapture(log, (req, res) => void res.stream.respond({ ":status": req.stream.closed ? 500 : 403 })));
// With options, Node's own types leave the request's type open, so the listener declares it.
http2.createSecureServer({ allowHTTP1: true }, securityCapture(log, (req: http2.Http2ServerRequest, res: http2.Http2ServerResponse) => void res.writeHead(403).end(req.authority)));
const alone = securityCapture(log, (req, res) => res.end(req.url));
http.createServer(alone).on("request", alone);
const typed: RequestListener = (req, res) => res.end(req.url);
http.createServer(securityCapture(log, typed, { actor: (req) => req.headers.from, detect: { csrf: false }, context: true }));
http.createServer(securityCapture(log, (req: http.IncomingMessage & { user?: { id: string } }, res) => res.end(req.user?.id)));
expressCapture(log, { actor: (req) => req.headers.from ?? null });
fastifyCapture({}, { log, actor: (request) => request.raw.headers.from }, () => {});
log.recordSecurityEvent("authz_fail", { request: new Request("http://a/"), remoteAddress: undefined }, { resource: "x" });
`;

/** Forms that need a framework's types. */
const FRAMEWORKS = `
import express from "express";
import Fastify, { type FastifyRequest } from "fastify";
import { securityCapture as expressCapture } from "seclog/express";
import { securityCapture as fastifyCapture } from "seclog/fastify";

const app = express();
app.use(expressCapture(security));
app.use("/api", expressCapture(security, { actor: (req: express.Request) => req.get("x-account") }), express.json());
express.Router().use(expressCapture(security, { detect: { wrongMethod: false } }));
const fastify = Fastify({ http2: true });
fastify.register(fastifyCapture, { log: security, prefix: "/api" });
await Fastify().register(fastifyCapture, { log: security, actor: (request: FastifyRequest) => request.ip });
Fastify().register(async (scope) => { await scope.register(fastifyCapture, { log: security, context: false }); });
`;

const RESOLUTIONS = [
  { module: "node16", moduleResolution: "node16" },
  { module: "nodenext", moduleResolution: "nodenext" },
  { module: "preserve", moduleResolution: "bundler" },
] as const;

/** The settings that people use. A short run tries one strictness for each resolution, a long run both. */
const compilers = RESOLUTIONS.flatMap((resolution, at) =>
  [true, false]
    .filter((exact) => isLong || exact === (at !== 1))
    .map((exactOptionalPropertyTypes) => ({ ...resolution, exactOptionalPropertyTypes })),
);

/** Compiles a folder's files, and returns the compiler's output. */
async function compile(folder: string, options: (typeof compilers)[number], skipLibCheck: boolean): Promise<string> {
  const compilerOptions = {
    ...options,
    target: "es2022",
    lib: ["es2022", "dom", "esnext.disposable"],
    types: ["node"],
    strict: true,
    skipLibCheck,
    noEmit: true,
    experimentalDecorators: true,
  };
  // Next's files import each other without an extension, as bundlers allow.
  const exclude = options.moduleResolution === "bundler" ? [] : ["docs-deploy-*"];
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"], exclude }));
  const tsc = join(repository, "node_modules", ".bin", "tsc");
  return await promisify(execFile)(tsc, ["-p", folder]).then(
    () => "",
    (error: { readonly stdout?: string }) => error.stdout || String(error),
  );
}

function blocks(page: string): readonly string[] {
  const text = readFileSync(join(repository, page), "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
}

describe("documented code", () => {
  let folder: string;

  beforeAll(() => {
    // Inside the repository, so that the code finds the packages as an application would.
    mkdirSync(join(repository, "var"), { recursive: true, mode: 0o700 });
    folder = mkdtempSync(join(repository, "var", "documented-"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(join(folder, "prelude.d.ts"), PRELUDE);
    writeFileSync(join(folder, "frameworks.ts"), FRAMEWORKS);
    writeFileSync(join(folder, "security-log.ts"), "export const security = 1;\n");
    for (const page of PAGES) {
      const name = page.replace(/\W/g, "-");
      for (const [at, code] of blocks(page).entries())
        writeFileSync(join(folder, `${name}-${at}.ts`), `${code}\nexport {};\n`);
    }
    return () => rmSync(folder, { recursive: true, force: true });
  });

  it("is found in the pages for users", () => {
    expect(PAGES).toEqual(expect.arrayContaining(["docs/api.md", "docs/deploy.md", "docs/operations.md"]));
  });

  it.each(compilers)(
    "compiles: $moduleResolution, exactOptionalPropertyTypes $exactOptionalPropertyTypes",
    async (options) => {
      // Not every framework's own types pass.
      expect(await compile(folder, options, true)).toBe("");
    },
  );
});

describe("the short forms of each capture, without any framework's types", () => {
  it.each(compilers)(
    "compile: $moduleResolution, exactOptionalPropertyTypes $exactOptionalPropertyTypes",
    async (options) => {
      const folder = mkdtempSync(join(tmpdir(), "seclog-types-"));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      const modules = join(folder, "node_modules");
      mkdirSync(join(modules, "@types"), { recursive: true });
      for (const name of ["@types/node", "undici-types"])
        symlinkSync(join(repository, "node_modules", name), join(modules, name));
      // A copy: through a link, the compiler would also find the packages installed beside it.
      for (const part of ["package.json", "dist"])
        cpSync(join(repository, "packages/seclog", part), join(modules, "seclog", part), { recursive: true });
      writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
      writeFileSync(join(folder, "bare.ts"), BARE);
      expect(await compile(folder, options, false)).toBe("");
    },
  );
});
