/** The contract's application in Fastify 5. */
import cookie from "@fastify/cookie";
import cors from "@fastify/cors";
import csrf from "@fastify/csrf-protection";
import jwt from "@fastify/jwt";
import multipart from "@fastify/multipart";
import rateLimit from "@fastify/rate-limit";
import statics from "@fastify/static";
import Fastify from "fastify";
import { checkAccess, recordLogin, securityCapture } from "seclog/fastify";
import { CONTRACT } from "seclog/testing";
import { accepts, publicFolder, refuseUpgrades, stripe, userOf, webhook, whenGone } from "./shared.js";

export const fastifyFramework = { name: "Fastify 5", open, skip: {} };

async function open(log, options) {
  const app = Fastify({
    trustProxy: "127.0.0.1",
    bodyLimit: CONTRACT.limit,
    ajv: { customOptions: { allErrors: true } },
  });
  await app.register(securityCapture, { log, ...options });
  const { folder, remove } = publicFolder();
  app.addHook("onClose", remove);
  await app.register(cookie);
  await app.register(csrf);
  await app.register(jwt, { secret: CONTRACT.tokenSecret });
  await app.register(multipart, { limits: { fileSize: CONTRACT.limit } });
  await app.register(rateLimit, { global: false });
  await app.register(statics, { root: folder, prefix: "/files/" });
  app.addHook("onRequest", async (request) => {
    request.user = userOf(request.headers) ?? null;
  });

  await app.register(
    async (api) => {
      api.get("/orders/:id", async () => "order");
      api.delete("/orders/:id", async (_request, reply) => reply.code(204).send());
    },
    { prefix: "/api" },
  );
  app.post("/orders", async (_request, reply) => reply.code(201).send());

  app.get("/private", async (_request, reply) =>
    reply.code(401).header("www-authenticate", 'Bearer realm="shop"').send("no"),
  );
  app.get("/token", async (request) => {
    await request.jwtVerify();
    return "in";
  });
  app.post("/login", async (request, reply) => {
    const success = accepts(request.body);
    if (request.query.silent === undefined) recordLogin(log, request, { success, userid: request.body.username });
    if (request.query.redirect !== undefined) return reply.redirect(success ? "/" : "/login?failed");
    return reply.code(success ? 200 : 401).send();
  });
  app.get("/admin", async (_request, reply) => reply.code(403).send());
  app.get("/forbidden", async (_request, reply) => reply.code(403).send());
  app.get("/orders-of/:user", async (request, reply) => {
    const { user } = request.params;
    const granted = checkAccess(log, request, request.user.id === user, { resource: `orders/${user}` });
    return reply.code(granted ? 200 : 404).send();
  });
  app.get("/slow", (request, reply) => whenGone(request.raw, reply.raw, () => reply.code(403).send()));

  app.post(
    "/validated",
    {
      schema: {
        body: {
          type: "object",
          required: ["email"],
          properties: { email: { type: "string", format: "email" }, age: { type: "number" } },
        },
      },
    },
    async () => "valid",
  );
  app.post("/bare/:status", async (request, reply) => reply.code(Number(request.params.status)).send({ error: "no" }));
  app.post("/upload", async (request) => {
    const file = await request.file();
    await file.toBuffer();
    return "up";
  });

  app.post("/form", { onRequest: app.csrfProtection }, async () => "sent");
  app.get("/limited", { config: { rateLimit: { max: 1, timeWindow: 60_000 } } }, async () => "ok");
  await app.register(async (shared) => {
    await shared.register(cors, {
      origin: (asked, callback) =>
        asked === undefined || asked === CONTRACT.origin
          ? callback(null, true)
          : callback(new Error("Not allowed by CORS"), false),
    });
    shared.get("/cors", async () => "shared");
  });
  app.post("/origin", async (request, reply) =>
    reply.code(request.headers.origin === CONTRACT.origin ? 200 : 403).send(),
  );
  app.get("/host", async (request, reply) => reply.code(request.host === "evil.example" ? 421 : 200).send());
  app.get("/broken", async () => {
    throw new TypeError("a mistake in the application");
  });

  // A webhook's signature covers the bytes.
  await app.register(async (hooks) => {
    hooks.removeAllContentTypeParsers();
    hooks.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    hooks.post("/stripe", async (request, reply) => {
      try {
        stripe.constructEvent(request.body, request.headers["stripe-signature"], CONTRACT.webhookSecret);
      } catch (error) {
        return reply.code(400).send(`Webhook Error: ${error.message}`);
      }
    });
    hooks.post("/webhook", async (request) => webhook.verify(request.body, request.headers));
  });

  refuseUpgrades(app.server);
  await app.listen({ host: "127.0.0.1", port: 0 });
  return { port: app.server.address().port, close: () => app.close() };
}
