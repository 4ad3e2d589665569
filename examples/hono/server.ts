import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { createSecurityLog, setActor } from "seclog";
import { checkAccess, recordLogin, securityCapture } from "seclog/hono";
import { watchServer } from "seclog/http";

// Without handlers it prints its events. In production: { spool: { directory }, handlers: [postgresHandler()] }
const security = createSecurityLog({
  service: "example",
  clientIp: { trust: ["loopback"] }, // the proxy in front, for which Hono has no setting
});

const app = new Hono();
app.use(securityCapture(security, { app })); // before everything that may refuse

app.post("/login", async (c) => {
  const { name, password } = await c.req.json<{ name: string; password: string }>();
  const success = password === "correct horse";
  recordLogin(security, c, { userid: name, success });
  return c.body(null, success ? 204 : 401);
});

// Your authentication. hono/jwt leaves its payload where Seclog finds it by itself.
app.use(async (c, next) => {
  const id = c.req.header("x-user");
  if (id === undefined) return c.body(null, 401);
  setActor({ id });
  return await next();
});

app.get("/orders/:owner", (c) => {
  const owner = c.req.param("owner");
  const granted = checkAccess(security, c, c.req.header("x-user") === owner, { resource: `orders of ${owner}` });
  return granted ? c.json([]) : c.body(null, 404); // the refusal is recorded, whatever is answered
});

app.delete("/users/:id", async (c) => {
  if (c.req.header("x-user") !== "root") return c.body(null, 403);
  await security.recordSecurityEvent("user_deleted", c, { onuserid: c.req.param("id") }).durable;
  return c.body(null, 204);
});

const port = Number(process.env["PORT"] ?? 3000);
const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port }, () =>
  console.log(`listening on http://127.0.0.1:${port}`),
);
watchServer(security, server); // what Node's parser refuses, from the first connection on

process.on("SIGTERM", () => {
  server.close();
  void security.close();
});
