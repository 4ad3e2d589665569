import http from "node:http";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";
import { admin, twoFactor } from "better-auth/plugins";
import express from "express";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Answer, closeServer, listen, send } from "#test/support/http-client.ts";
import type { SecurityEvent } from "../../event/event.ts";
import { memoryLog } from "../../testing/memory-log.ts";
import { securityCapture } from "../express/express.ts";
import { recordAuth } from "./better-auth.ts";

const ORIGIN = "http://shop.example";
const PASSWORD = "correct horse battery";

async function start({ rateLimit = false } = {}) {
  const log = memoryLog();
  const tables = { user: [], session: [], account: [], verification: [], twoFactor: [], rateLimit: [] };
  const auth = recordAuth(
    log,
    betterAuth({
      baseURL: ORIGIN,
      secret: "a secret of at least thirty-two characters",
      database: memoryAdapter(tables),
      emailAndPassword: { enabled: true },
      user: { deleteUser: { enabled: true } },
      rateLimit: { enabled: rateLimit, window: 60, max: 2 },
      plugins: [twoFactor(), admin()],
      // Both are off where NODE_ENV is test.
      advanced: { disableCSRFCheck: false, disableOriginCheck: false },
      telemetry: { enabled: false },
      logger: { disabled: true },
    }),
  );
  const app = express();
  app.use(securityCapture(log));
  app.all("/api/auth/*splat", toNodeHandler(auth));
  const server = http.createServer(app);
  const port = await listen(server);
  onTestFinished(async () => {
    await closeServer(server);
    await log.close();
  });
  const ask = async (path: string, body?: object, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> =>
    await send(port, body === undefined ? "GET" : "POST", `/api/auth${path}`, {
      headers: { origin: ORIGIN, "content-type": "application/json", ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const signUp = async () =>
    await ask("/sign-up/email", { name: "Ada", email: "ada@shop.example", password: PASSWORD });
  return { log, ask, signUp, tables };
}

function cookiesOf(answer: Answer): http.OutgoingHttpHeaders {
  return { cookie: (answer.headers["set-cookie"] ?? []).map((cookie) => cookie.split(";")[0]).join("; ") };
}

function shown({ type, actorId, ipAddress, data }: SecurityEvent): unknown {
  return { type, actorId, ipAddress, ...data };
}

const HASH = expect.stringMatching(/^hmac:/);
const ipAddress = "127.0.0.1";

describe("recordAuth()", () => {
  it("records an account, its sessions, logins and their failures", async () => {
    const { log, ask, signUp } = await start();
    const answer = await signUp();
    const { id } = (JSON.parse(answer.body) as { user: { id: string } }).user;
    await ask("/sign-out", {}, cookiesOf(answer));
    expect((await ask("/sign-in/email", { email: "ada@shop.example", password: "wrong" })).status).toBe(401);
    expect((await ask("/sign-in/email", { email: "ada@shop.example", password: PASSWORD })).status).toBe(200);
    const events = await log.events();
    expect(events.map(shown)).toEqual([
      { type: "user_created", actorId: id, ipAddress, newuserid: id },
      { type: "session_created", actorId: id, ipAddress, sessionid: HASH },
      { type: "session_logout", actorId: id, ipAddress, sessionid: HASH },
      {
        type: "authn_login_fail",
        actorId: "ada@shop.example",
        ipAddress,
        method: "sign-in/email",
        reason: "INVALID_EMAIL_OR_PASSWORD",
      },
      { type: "authn_login_success", actorId: id, ipAddress, method: "sign-in/email", username: "ada@shop.example" },
      { type: "session_created", actorId: id, ipAddress, sessionid: HASH },
    ]);
    expect(events[2]?.data?.["sessionid"]).toBe(events[1]?.data?.["sessionid"]);
    expect(JSON.stringify(events)).not.toContain(PASSWORD);
  });

  it("records what better-auth refuses before its own hooks: foreign origins and its rate limit", async () => {
    const { log, ask } = await start({ rateLimit: true });
    const evil = { origin: "https://evil.example", cookie: "a=b" };
    expect((await ask("/sign-in/email", { email: "x@shop.example", password: "p" }, evil)).status).toBe(403);
    for (let time = 0; time < 3; time++) await ask("/sign-in/email", { email: "x@shop.example", password: "p" });
    const types = (await log.events()).map(({ type, level }) => `${type} ${level}`);
    expect(types[0]).toBe("origin_rejected warning");
    expect(types).toContain("excess_rate_limit_exceeded warning");
    expect(types.filter((type) => !/origin|login_fail|rate_limit/.test(type))).toEqual([]);
  });

  it("records changes of passwords, second factors and accounts, with their user", async () => {
    const { log, ask, signUp } = await start();
    const user = cookiesOf(await signUp());
    await log.clear();
    const change = { currentPassword: "wrong", newPassword: "another long password" };
    await ask("/change-password", change, user);
    await ask("/change-password", { ...change, currentPassword: PASSWORD }, user);
    await ask("/two-factor/disable", { password: "wrong" }, user);
    await ask("/update-user", { name: "Ada L." }, user);
    await ask("/reset-password", { newPassword: "some other password", token: "guessed" });
    await ask("/change-password", change);
    await ask("/delete-user", { password: "another long password" }, user);
    const events = await log.events();
    expect(events.map(({ type, level }) => `${type} ${level}`)).toEqual([
      "authn_password_change_fail critical",
      "authn_password_change info",
      "authn_login_fail warning",
      "user_updated warning",
      "authn_password_change_fail warning",
      "unauthenticated_request warning",
      "user_deleted warning",
    ]);
    expect(new Set(events.map(({ actorId }) => actorId)).size).toBe(2);
    expect(events[3]?.data?.["attributes"]).toEqual(["name"]);
  });

  it("waits for the second factor before a login has succeeded", async () => {
    const { log, ask, signUp, tables } = await start();
    const answer = await signUp();
    await ask("/two-factor/enable", { password: PASSWORD }, cookiesOf(answer));
    for (const row of tables.user as { twoFactorEnabled?: boolean }[]) row.twoFactorEnabled = true;
    for (const row of tables.twoFactor as { verified?: boolean }[]) row.verified = true;
    await log.clear();
    const first = await ask("/sign-in/email", { email: "ada@shop.example", password: PASSWORD });
    expect(first.body).toContain("twoFactorRedirect");
    expect(await log.events()).toEqual([]);
    expect((await ask("/two-factor/verify-totp", { code: "000000" }, cookiesOf(first))).status).toBeGreaterThan(399);
    const event = await log.expectEvent("authn_login_fail");
    expect(event.data).toMatchObject({ method: "two-factor/verify-totp", reason: "INVALID_CODE" });
  });

  it("records what administrators do, and who may not", async () => {
    const { log, ask, signUp, tables } = await start();
    const answer = await signUp();
    const { id } = (JSON.parse(answer.body) as { user: { id: string } }).user;
    await log.clear();
    await ask("/admin/set-role", { userId: "1", role: "admin" }, cookiesOf(answer));
    for (const row of tables.user as { role?: string }[]) row.role = "admin";
    await ask("/admin/set-role", { userId: id, role: "user" }, cookiesOf(answer));
    expect((await log.events()).map(shown)).toEqual([
      { type: "authz_fail", actorId: id, ipAddress, resource: "admin/set-role" },
      { type: "authz_change", actorId: id, ipAddress, onuserid: id, to: "user" },
    ]);
  });

  it("takes requests without a capture and without Node", async () => {
    const log = memoryLog();
    onTestFinished(() => log.close());
    const auth = recordAuth(log, {
      api: {},
      options: {},
      handler: async (_request: Request) => Response.json({ code: "X" }, { status: 401 }),
    });
    const body = JSON.stringify({ email: "ada@shop.example", password: "p".repeat(100_000) });
    const request = (text: string) =>
      new Request("https://shop.example/api/auth/sign-in/email", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: text,
      });
    await auth.handler(request(body.replace(/p{10,}/, "p")));
    await auth.handler(request(body));
    expect((await log.events()).map(({ actorId }) => actorId)).toEqual(["ada@shop.example", undefined]);
  });
});
