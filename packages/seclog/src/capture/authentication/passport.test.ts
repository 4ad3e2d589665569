import http from "node:http";
import express from "express";
import session from "express-session";
import { Passport } from "passport";
import { ExtractJwt, Strategy as JwtStrategy } from "passport-jwt";
import { Strategy as LocalStrategy } from "passport-local";
import { describe, expect, it, onTestFinished } from "vitest";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import type { SecurityEvent } from "../../event/event.ts";
import { type MemoryLogOptions, memoryLog } from "../../testing/memory-log.ts";
import { securityCapture } from "../express/express.ts";
import { recordPassport } from "./passport.ts";

const FORM = { "content-type": "application/x-www-form-urlencoded" };

/** Two kinds of accounts: staff log in with a first strategy, customers with a second. */
async function start(options: MemoryLogOptions = {}, wrapFirst = true) {
  const log = memoryLog({ ...options, clientIp: { trust: [] } });
  const passport = new Passport();
  if (wrapFirst) recordPassport(log, passport);
  const strategy = (owner: string) =>
    new LocalStrategy({ usernameField: "email" }, (email, password, done) => {
      if (email === "broken") done(new Error("no database"));
      else if (email !== owner || password !== "right") done(null, false, { message: "Incorrect password." });
      else done(null, { id: `id of ${owner}`, email });
    });
  passport.use("customers", strategy("ada@shop.example"));
  passport.use("staff", strategy("root@shop.example"));
  passport.use(
    new JwtStrategy(
      { jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(), secretOrKey: "k".repeat(32) },
      () => {},
    ),
  );
  passport.serializeUser((user, done) => done(null, user));
  passport.deserializeUser((user: Express.User, done) => done(null, user));
  if (!wrapFirst) recordPassport(log, passport);
  const app = express();
  app.use(securityCapture(log));
  app.use(express.urlencoded({ extended: true }));
  app.use(session({ secret: "s", resave: false, saveUninitialized: false }));
  app.use(passport.session());
  app.post("/login", passport.authenticate("customers", { successRedirect: "/", failureRedirect: "/login?again" }));
  app.post("/plain", passport.authenticate("customers"), (_req, res) => res.sendStatus(204));
  app.post("/either", passport.authenticate(["customers", "staff"]), (_req, res) => res.sendStatus(204));
  app.get("/token", passport.authenticate("jwt", { session: false }), (_req, res) => res.sendStatus(204));
  app.post("/logout", (req, res, next) => {
    req.logout((error) => (error === undefined ? res.redirect("/") : next(error)));
  });
  app.use(((_error, _req, res, _next) => {
    res.sendStatus(500);
  }) satisfies express.ErrorRequestHandler);
  const server = http.createServer(app);
  const port = await listen(server);
  onTestFinished(async () => {
    await closeServer(server);
    await log.close();
  });
  const login = (path: string, email: string, password = "right") =>
    send(port, "POST", path, { headers: FORM, body: new URLSearchParams({ email, password }).toString() });
  return { log, port, login };
}

function shown({ type, actorId, ipAddress, data }: SecurityEvent): unknown {
  return { type, actorId, ipAddress, ...data };
}

const FAILED = { type: "authn_login_fail", ipAddress: "127.0.0.1", strategy: "local", reason: "Incorrect password." };

describe("recordPassport()", () => {
  it.each([true, false])(
    "records how a login ended, though the answer redirects (before the strategies: %s)",
    async (first) => {
      const { log, login } = await start({}, first);
      expect((await login("/login", "ada@shop.example", "wrong")).headers.location).toBe("/login?again");
      expect((await login("/login", "ada@shop.example")).headers.location).toBe("/");
      expect((await log.events()).map(shown)).toEqual([
        { ...FAILED, actorId: "ada@shop.example" },
        {
          type: "authn_login_success",
          actorId: "id of ada@shop.example",
          ipAddress: "127.0.0.1",
          strategy: "local",
          username: "ada@shop.example",
        },
      ]);
    },
  );

  it("records one event for a 401, and none for a failure of the application", async () => {
    const { log, login } = await start();
    expect((await login("/plain", "ada@shop.example", "wrong")).status).toBe(401);
    expect((await login("/plain", "broken")).status).toBe(500);
    await log.expectEvent("sys_error");
    expect((await log.events()).map(({ type }) => type)).toEqual(["authn_login_fail", "sys_error"]);
  });

  it("records a failure of several strategies once, and none if a later one accepts", async () => {
    const { log, login } = await start();
    expect((await login("/either", "root@shop.example")).status).toBe(204);
    expect((await login("/either", "root@shop.example", "wrong")).status).toBe(401);
    expect((await log.events()).map(shown)).toEqual([
      expect.objectContaining({ type: "authn_login_success", actorId: "id of root@shop.example" }),
      { ...FAILED, actorId: "root@shop.example" },
    ]);
  });

  it("leaves the tokens of each request to capture, which learns the reason", async () => {
    const { log, port } = await start();
    expect((await send(port, "GET", "/token", { headers: { authorization: "Bearer a.b.c" } })).status).toBe(401);
    const event = await log.expectEvent("unauthenticated_request");
    expect(event.data).toEqual({ reason: "invalid token" });
    expect(await log.events()).toHaveLength(1);
  });

  it("records the end of a session with the user who leaves", async () => {
    const { log, port, login } = await start();
    const cookie = (await login("/login", "ada@shop.example")).headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
    await send(port, "POST", "/logout", { headers: { cookie } });
    const event = await log.expectEvent("session_logout");
    expect(event.actorId).toBe("id of ada@shop.example");
    expect(event.data?.["sessionid"]).toMatch(/^hmac:/);
  });

  it("lets no login through that had to be on disk and is not", async () => {
    const { login, log } = await start();
    const refusing = {
      recordSecurityEvent: () => {
        throw new Error("not on disk");
      },
    };
    const passport = new Passport();
    recordPassport(refusing, passport);
    const outcomes: unknown[] = [];
    const attempt = Object.assign(
      Object.create(new LocalStrategy((_name, _password, done) => done(null, { id: 1 }))) as object,
      {
        success: () => outcomes.push("success"),
        fail: () => outcomes.push("fail"),
        error: (e: Error) => outcomes.push(e.message),
      },
    ) as unknown as LocalStrategy;
    passport.use(Object.getPrototypeOf(attempt) as LocalStrategy);
    attempt.authenticate({ body: { username: "a", password: "b" } } as never, {});
    expect(outcomes).toEqual(["not on disk"]);
    await login("/login", "x");
    await log.events();
  });

  it("counts failures by the name that was typed, and clears them when its user succeeds", async () => {
    const { log, login } = await start({ failedLogins: { perUser: 3 } });
    for (let time = 0; time < 3; time++) await login("/login", "Ada@shop.example", "wrong");
    await login("/login", "ada@shop.example");
    await login("/login", "ada@shop.example");
    expect((await log.events()).map(shown).slice(3)).toEqual([
      {
        type: "authn_login_fail_max",
        actorId: "Ada@shop.example",
        ipAddress: "127.0.0.1",
        maxlimit: 3,
        failures: 3,
        reason: "user",
      },
      expect.objectContaining({ type: "authn_login_successafterfail", retries: 3, actorId: "id of ada@shop.example" }),
      expect.objectContaining({ type: "authn_login_success" }),
    ]);
  });
});
