import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runHere } from "../support/here.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-map-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function source(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

/** The entries as `file:line kind what recorded`. */
async function entries(): Promise<string[]> {
  const { code, stdout, stderr } = await runHere(["map", folder, "--json"], {});
  expect([code, stderr]).toEqual([0, ""]);
  const found = JSON.parse(stdout) as { entries: { [name: string]: unknown }[] };
  return found.entries.map(({ file, line, kind, what, recorded }) => `${file}:${line} ${kind} ${what} ${recorded}`);
}

describe("seclog map", () => {
  it("lists what changes, refuses or ends an error without an event, in Express", async () => {
    source(
      "app.ts",
      `import { securityCapture } from "seclog/express";
app.use(securityCapture(security));
app.get("/orders", (req, res) => res.json([]));
app.post("/orders", (req, res) => { orders.add(req.body); res.sendStatus(201); });
app.delete("/users/:id", remove);
app.route("/cart").get(show).put((req, res) => res.sendStatus(402));
function remove(req: Request, res: Response) {
  security.recordSecurityEvent("user_deleted", req, {});
  if (req.query.x === undefined) return res.status(400).json({});
  try { gone(); } catch (error) { res.sendStatus(403); }
  try { gone(); } catch (error) { security.recordSecurityEvent("sys_crash", req, {}); }
  try { gone(); } catch (error) { throw new Error("x", { cause: error }); }
}
save().catch(() => {});
save().catch((error) => next(error));
fetch("/x").then((r) => r.status === 404);
client.post("/other", { a: 1 });`,
    );
    expect(await entries()).toEqual([
      "app.ts:4 route POST /orders nothing",
      "app.ts:5 route DELETE /users/:id call",
      "app.ts:6 route PUT /cart nothing",
      "app.ts:6 refusal 402 nothing",
      "app.ts:9 refusal 400 nothing",
      "app.ts:10 catch ends the error nothing",
      "app.ts:10 refusal 403 capture",
      "app.ts:11 catch ends the error call",
      "app.ts:14 catch drops the error nothing",
    ]);
  });

  it("knows the routes and refusals of the other frameworks", async () => {
    source("fastify.ts", `app.route({ method: ["PUT", "GET"], url: "/a", handler });\nreply.code(401).send();`);
    source("hono.ts", `app.post("/b", (c) => c.json({}, 403));\nthrow new HTTPException(429);`);
    source("koa.js", `router.del("/c", one);\nctx.status = 405;\nctx.throw(401);`);
    source(
      "nest.ts",
      `@Controller("cats") class Cats {
  @Post(":id") @SecurityEvent("cat_made") make() {}
  @Patch() change() { throw new ForbiddenException(); }
}`,
    );
    source("app/api/orders/route.ts", "export async function POST() { return Response.json({}, { status: 401 }); }");
    source("trpc.ts", `throw new TRPCError({ code: "FORBIDDEN" });`);
    source("ignored.test.ts", `app.post("/x", (req, res) => res.sendStatus(403));`);
    source("node_modules/x/index.js", `app.post("/x", (req, res) => res.sendStatus(403));`);
    expect(await entries()).toEqual([
      "app/api/orders/route.ts:1 route POST /api/orders nothing",
      "app/api/orders/route.ts:1 refusal 401 nothing",
      "fastify.ts:1 route PUT /a nothing",
      "fastify.ts:2 refusal 401 nothing",
      "hono.ts:1 route POST /b nothing",
      "hono.ts:1 refusal 403 nothing",
      "hono.ts:2 refusal 429 nothing",
      "koa.js:1 route DELETE /c nothing",
      "koa.js:2 refusal 405 nothing",
      "koa.js:3 refusal 401 nothing",
      "nest.ts:2 route POST /cats/:id call",
      "nest.ts:3 route PATCH /cats nothing",
      "nest.ts:3 refusal 403 nothing",
      "trpc.ts:1 refusal 403 nothing",
    ]);
  });

  it("fails with --check if something records nothing, and names files that do not parse", async () => {
    source("app.js", `const { securityCapture } = require("seclog/express");\napp.use(securityCapture(log));`);
    source("broken.ts", "const = ;");
    const clean = await runHere(["map", folder, "--check"], {});
    expect([clean.code, clean.stdout]).toEqual([0, ""]);
    expect(clean.stderr).toContain("Not read, since they do not parse: broken.ts.");
    source("more.js", `app.post("/x", (req, res) => res.sendStatus(403));`);
    const { code, stdout, stderr } = await runHere(["map", folder, "--check"], {});
    expect([code, stdout]).toEqual([1, expect.stringMatching(/more.js:1 route POST \/x +nothing/)]);
    expect(stderr).toContain("1 route that changes something, 1 refusal, 0 catch blocks that end an error; 1 without");
    const missing = await runHere(["map", join(folder, "none")], {});
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringMatching(/cannot be read: .*\[SECLOG_CONFIG\]/)]);
  });
});
