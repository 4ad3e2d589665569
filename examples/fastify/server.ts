import Fastify from "fastify";
import { createSecurityLog, setActor } from "seclog";
import { checkAccess, recordLogin, securityCapture } from "seclog/fastify";

// Without handlers it prints its events. In production: { spool: { directory }, handlers: [postgresHandler()] }
const security = createSecurityLog({ service: "example" });

const app = Fastify({ trustProxy: "127.0.0.1" }); // the proxy in front: events have the client's address
await app.register(securityCapture, { log: security }); // before the routes

app.post<{ Body: { name: string; password: string } }>("/login", async (request, reply) => {
  const { name, password } = request.body;
  const success = password === "correct horse";
  recordLogin(security, request, { userid: name, success });
  return reply.code(success ? 204 : 401).send();
});

await app.register(async (scope) => {
  // Your authentication. @fastify/jwt and @fastify/passport leave their user where Seclog finds it by itself.
  scope.addHook("onRequest", async (request, reply) => {
    const id = request.headers["x-user"];
    if (typeof id !== "string") return reply.code(401).send();
    setActor({ id });
  });

  scope.get<{ Params: { owner: string } }>("/orders/:owner", async (request, reply) => {
    const { owner } = request.params;
    const granted = request.headers["x-user"] === owner;
    if (checkAccess(security, request, granted, { resource: `orders of ${owner}` })) return [];
    return reply.code(404).send(); // the refusal is recorded, whatever is answered
  });

  scope.delete<{ Params: { id: string } }>("/users/:id", async (request, reply) => {
    if (request.headers["x-user"] !== "root") return reply.code(403).send();
    await security.recordSecurityEvent("user_deleted", request, { onuserid: request.params.id }).durable;
    return reply.code(204).send();
  });
});

const port = Number(process.env["PORT"] ?? 3000);
await app.listen({ host: "127.0.0.1", port });
console.log(`listening on http://127.0.0.1:${port}`);

process.on("SIGTERM", async () => {
  await app.close();
  await security.close();
});
