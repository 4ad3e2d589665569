/** One application of `bench/capture.js`, on a free port, which reports the processor time that it has used. */
import { createServer } from "node:http";
import { createSecurityLog } from "seclog";

const [framework, mode] = process.argv.slice(2);
const log =
  mode === "bare"
    ? undefined
    : createSecurityLog({
        spool: "memory",
        heartbeat: false,
        handlers: [{ name: "nothing", handle: async () => {}, close: async () => {} }],
      });

/** The application as a listener of a server. */
const APPLICATIONS = {
  async express() {
    const { default: express } = await import("express");
    const app = express();
    if (log !== undefined) app.use((await import("seclog/express")).securityCapture(log));
    app.get("/served", (_req, res) => void res.json({ ok: true }));
    app.get("/refused", (_req, res) => void res.status(401).json({ ok: false }));
    return app;
  },
  async fastify() {
    const { default: Fastify } = await import("fastify");
    const app = Fastify();
    if (log !== undefined) await app.register((await import("seclog/fastify")).securityCapture, { log });
    app.get("/served", async () => ({ ok: true }));
    app.get("/refused", async (_request, reply) => reply.code(401).send({ ok: false }));
    await app.ready();
    return (request, response) => app.routing(request, response);
  },
  async koa() {
    const { default: Koa } = await import("koa");
    const { Router } = await import("@koa/router");
    const app = new Koa();
    if (log !== undefined) app.use((await import("seclog/koa")).securityCapture(log, { app }));
    const router = new Router();
    router.get("/served", (ctx) => {
      ctx.body = { ok: true };
    });
    router.get("/refused", (ctx) => {
      ctx.status = 401;
      ctx.body = { ok: false };
    });
    app.use(router.routes());
    return app.callback();
  },
  async hono() {
    const { Hono } = await import("hono");
    const { getRequestListener } = await import("@hono/node-server");
    const app = new Hono();
    if (log !== undefined) app.use((await import("seclog/hono")).securityCapture(log, { app }));
    app.get("/served", (c) => c.json({ ok: true }));
    app.get("/refused", (c) => c.json({ ok: false }, 401));
    return getRequestListener(app.fetch, { overrideGlobalObjects: false });
  },
};

const server = createServer(await APPLICATIONS[framework]());
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));

process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send({ micros: user + system });
});
process.on("disconnect", () => process.exit());
