import http from "node:http";
import express from "express";
import session from "express-session";
import { describe, expect, it, onTestFinished } from "vitest";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import type { SecurityEvent } from "../../event/event.ts";
import { memoryLog } from "../../testing/memory-log.ts";
import { securityCapture } from "../express/express.ts";
import { recordSessions } from "./express-session.ts";

declare module "express-session" {
  interface SessionData {
    passport: { user: string };
  }
}

async function start({ captured = true, name }: { captured?: boolean; name?: string } = {}) {
  const log = memoryLog();
  const store = new session.MemoryStore();
  const app = express();
  if (captured) app.use(securityCapture(log));
  const named = name === undefined ? {} : { name };
  app.use(
    recordSessions(log, session({ secret: "s", resave: false, saveUninitialized: false, store, ...named }), named),
  );
  app.get("/", (_req, res) => res.sendStatus(204));
  app.post("/login", (req, res) => {
    req.session.passport = { user: "ada" };
    res.sendStatus(204);
  });
  app.post("/renew", (req, res) => req.session.regenerate(() => res.sendStatus(204)));
  app.post("/logout", (req, res) => req.session.destroy(() => res.sendStatus(204)));
  app.post("/revoke/:id", (req, res) => store.destroy(req.params.id, () => res.sendStatus(204)));
  const server = http.createServer(app);
  const port = await listen(server);
  onTestFinished(async () => {
    await closeServer(server);
    await log.close();
  });
  const ask = async (path: string, cookie?: string): Promise<string> => {
    const headers = cookie === undefined ? {} : { cookie };
    const answer = await send(port, path === "/" ? "GET" : "POST", path, { headers });
    return answer.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
  };
  return { log, store, ask };
}

function shown({ type, actorId, ipAddress, level, data }: SecurityEvent): unknown {
  return { type, actorId, ipAddress, level, ...data };
}

const HASH = expect.stringMatching(/^hmac:[0-9a-f]{32}$/);
const ADA = { actorId: "ada", ipAddress: "127.0.0.1", level: "info" };
const STRANGER = { actorId: undefined, ipAddress: "127.0.0.1", level: "warning" };

describe("recordSessions()", () => {
  it.each([true, false])("records a session's life, with its user (with a capture: %s)", async (captured) => {
    const { log, ask } = await start({ captured });
    await ask("/");
    const cookie = await ask("/login");
    await ask("/", cookie);
    const renewed = await ask("/renew", cookie);
    expect(renewed).not.toBe(cookie);
    await ask("/logout", renewed);
    const again = await ask("/login");
    await ask("/logout", again);
    const events = await log.events();
    expect(events.map(shown)).toEqual([
      { type: "session_created", ...ADA, sessionid: HASH },
      { type: "session_renewed", ...ADA, actorId: undefined, sessionid: HASH, previous_sessionid: HASH },
      { type: "session_logout", ...ADA, actorId: undefined, sessionid: HASH },
      { type: "session_created", ...ADA, sessionid: HASH },
      { type: "session_logout", ...ADA, sessionid: HASH },
    ]);
    expect(events[1]?.data?.["previous_sessionid"]).toBe(events[0]?.data?.["sessionid"]);
    expect(events[2]?.data?.["sessionid"]).toBe(events[1]?.data?.["sessionid"]);
    expect(events[4]?.data?.["sessionid"]).toBe(events[3]?.data?.["sessionid"]);
  });

  it("tells a forged cookie from one whose session is gone, and records each once", async () => {
    const { log, ask } = await start();
    const cookie = await ask("/login");
    await ask("/logout", cookie);
    await ask("/", cookie);
    await ask("/", cookie);
    await ask("/", `${cookie.slice(0, -3)}xxx`);
    await ask("/", "connect.sid=plain; other=s%3Ax.y");
    expect((await log.events()).slice(2).map(shown)).toEqual([
      { type: "session_use_after_expire", ...STRANGER, sessionid: HASH },
      { type: "input_validation_discrete_fail", ...STRANGER, field: "connect.sid", reason: "signature" },
    ]);
  });

  it("records a session that another request ends", async () => {
    const { log, ask, store } = await start();
    const cookie = await ask("/login");
    const id = decodeURIComponent(cookie).slice("connect.sid=s:".length).split(".")[0] ?? "";
    await ask(`/revoke/${id}`);
    await new Promise((resolve) => store.destroy("of a job", resolve));
    expect((await log.events()).slice(1).map(shown)).toEqual([
      { type: "session_expired", ...STRANGER, level: "info", reason: "revoked", sessionid: HASH },
      {
        type: "session_expired",
        actorId: undefined,
        ipAddress: undefined,
        level: "info",
        reason: "timeout",
        sessionid: HASH,
      },
    ]);
  });

  it("knows a cookie by another name", async () => {
    const { log, ask } = await start({ name: "s.id" });
    await ask("/", "s.id=s%3Aforged.signature");
    await log.expectEvent("input_validation_discrete_fail", { data: { field: "s.id" } });
  });

  it("refuses what is not a middleware, and unknown options", () => {
    const log = memoryLog();
    onTestFinished(() => log.close());
    expect(() => recordSessions(log, {} as never)).toThrow("must be what session(…) returned");
    expect(() => recordSessions(log, () => {}, { secret: "s" } as never)).toThrow("secret does not exist");
  });
});
