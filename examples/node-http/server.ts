import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { createSecurityLog, setActor } from "seclog";
import { checkAccess, recordLogin, securityCapture, watchServer } from "seclog/http";

// Without handlers it prints its events. In production: { spool: { directory }, handlers: [postgresHandler()] }
const security = createSecurityLog({
  service: "example",
  clientIp: { trust: ["loopback"] }, // the proxy in front of the application
});

async function answer(req: IncomingMessage, res: ServerResponse): Promise<number> {
  const [, place = "", id = ""] = (req.url ?? "").split("/");
  if (place === "login" && req.method === "POST") {
    const { name, password } = (await json(req)) as { name: string; password: string };
    const success = password === "correct horse";
    recordLogin(security, req, { userid: name, success });
    return success ? 204 : 401;
  }

  // Your authentication.
  const user = req.headers["x-user"];
  if (typeof user !== "string") return 401;
  setActor({ id: user });

  if (place === "orders") {
    if (req.method !== "GET") {
      res.setHeader("allow", "GET");
      return 405; // without a router, a wrong method is what you answer so
    }
    return checkAccess(security, req, user === id, { resource: `orders of ${id}` }) ? 200 : 404;
  }
  if (place === "users" && req.method === "DELETE") {
    if (user !== "root") return 403;
    await security.recordSecurityEvent("user_deleted", req, { onuserid: id }).durable;
    return 204;
  }
  return 404;
}

const server = createServer(
  securityCapture(security, async (req, res) => {
    res.statusCode = await answer(req, res).catch(() => 400);
    res.end();
  }),
);
watchServer(security, server); // what Node's parser refuses, from the first connection on

const port = Number(process.env["PORT"] ?? 3000);
server.listen(port, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${port}`));

process.on("SIGTERM", () => {
  server.close();
  void security.close();
});
