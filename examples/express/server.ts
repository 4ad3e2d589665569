import express from "express";
import { createSecurityLog, setActor } from "seclog";
import { checkAccess, recordLogin, securityCapture } from "seclog/express";

// Without handlers it prints its events. In production: { spool: { directory }, handlers: [postgresHandler()] }
const security = createSecurityLog({ service: "example" });

const app = express();
app.set("trust proxy", "loopback"); // the proxy in front of the application: events have the client's address
app.use(securityCapture(security)); // before everything that may refuse
app.use(express.json());

app.post("/login", (req, res) => {
  const { name, password } = req.body as { name: string; password: string };
  const success = password === "correct horse";
  recordLogin(security, req, { userid: name, success });
  res.sendStatus(success ? 204 : 401);
});

// Your authentication. Passport, express-jwt and others leave their user where Seclog finds it by itself.
app.use((req, res, next) => {
  const id = req.get("x-user");
  if (id === undefined) return void res.sendStatus(401);
  setActor({ id });
  res.locals["user"] = id;
  next();
});

app.get("/orders/:owner", (req, res) => {
  const { owner } = req.params;
  if (checkAccess(security, req, res.locals["user"] === owner, { resource: `orders of ${owner}` })) res.json([]);
  else res.sendStatus(404); // the refusal is recorded, whatever is answered
});

app.delete("/users/:id", async (req, res) => {
  if (res.locals["user"] !== "root") return void res.sendStatus(403);
  await security.recordSecurityEvent("user_deleted", req, { onuserid: req.params.id }).durable;
  res.sendStatus(204);
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${port}`));

process.on("SIGTERM", () => {
  server.close();
  void security.close();
});
