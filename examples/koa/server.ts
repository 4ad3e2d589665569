import { bodyParser } from "@koa/bodyparser";
import Router from "@koa/router";
import Koa from "koa";
import { createSecurityLog, setActor } from "seclog";
import { checkAccess, recordLogin, securityCapture } from "seclog/koa";

// Without handlers it prints its events. In production: { spool: { directory }, handlers: [postgresHandler()] }
const security = createSecurityLog({ service: "example" });

const app = new Koa({ proxy: true, maxIpsCount: 1 }); // one proxy in front: events have the client's address
app.use(securityCapture(security, { app })); // before everything that may refuse
app.use(bodyParser());

const open = new Router();
open.post("/login", (ctx) => {
  const { name, password } = ctx.request.body as { name: string; password: string };
  const success = password === "correct horse";
  recordLogin(security, ctx, { userid: name, success });
  ctx.status = success ? 204 : 401;
});

const router = new Router();
// Your authentication. koa-jwt and koa-passport leave their user where Seclog finds it by itself.
router.use(async (ctx, next) => {
  const id = ctx.get("x-user");
  if (id === "") return ctx.throw(401);
  setActor({ id });
  await next();
});
router.get("/orders/:owner", (ctx) => {
  const { owner } = ctx.params;
  const granted = checkAccess(security, ctx, ctx.get("x-user") === owner, { resource: `orders of ${owner}` });
  if (granted) ctx.body = [];
  else ctx.status = 404; // the refusal is recorded, whatever is answered
});
router.delete("/users/:id", async (ctx) => {
  if (ctx.get("x-user") !== "root") return ctx.throw(403);
  await security.recordSecurityEvent("user_deleted", ctx, { onuserid: ctx.params["id"] }).durable;
  ctx.status = 204;
});
app.use(open.routes()).use(router.routes()).use(router.allowedMethods());

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${port}`));

process.on("SIGTERM", () => {
  server.close();
  void security.close();
});
