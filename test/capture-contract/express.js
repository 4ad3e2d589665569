/** The contract's application in Express 4 and 5. */
import { createServer } from "node:http";
import { createRequire } from "node:module";
import cookieParser from "cookie-parser";
import cors from "cors";
import { doubleCsrf } from "csrf-csrf";
import express5 from "express";
import { expressjwt } from "express-jwt";
import { rateLimit } from "express-rate-limit";
import multer from "multer";
import { checkAccess, recordLogin, securityCapture } from "seclog/express";
import { CONTRACT } from "seclog/testing";
import { accepts, Person, publicFolder, refuseUpgrades, serve, stripe, userOf, webhook, whenGone } from "./shared.js";

const express4 = createRequire(import.meta.url)("express4");

export const express4Framework = { name: "Express 4", open: (log, options) => open(express4, log, options), skip: {} };
export const express5Framework = { name: "Express 5", open: (log, options) => open(express5, log, options), skip: {} };

async function open(express, log, options) {
  const app = express();
  app.set("env", "test").set("trust proxy", "loopback");
  app.use(securityCapture(log, options));

  // A webhook's signature covers the bytes, so these routes come before the parser.
  app.post("/stripe", express.raw({ type: "*/*" }), (req, res) => {
    try {
      stripe.constructEvent(req.body, req.headers["stripe-signature"], CONTRACT.webhookSecret);
    } catch (error) {
      return res.status(400).send(`Webhook Error: ${error.message}`);
    }
    res.sendStatus(200);
  });
  app.post("/webhook", express.raw({ type: "*/*" }), (req, res) => {
    res.json(webhook.verify(req.body, req.headers));
  });

  app.use(express.json({ limit: CONTRACT.limit }), express.urlencoded({ extended: false }), cookieParser());
  app.use((req, _res, next) => {
    req.user = userOf(req.headers);
    next();
  });

  const api = express.Router();
  api
    .route("/orders/:id")
    .get((_req, res) => res.send("order"))
    .delete((_req, res) => res.sendStatus(204));
  app.use("/api", api);
  app.post("/orders", (req, res) => res.sendStatus(req.is("json") ? 201 : 415));

  app.get("/private", (_req, res) => res.set("WWW-Authenticate", 'Bearer realm="shop"').sendStatus(401));
  app.get("/token", expressjwt({ secret: CONTRACT.tokenSecret, algorithms: ["HS256"] }), (_req, res) => res.send("in"));
  app.post("/login", (req, res) => {
    const success = accepts(req.body);
    if (req.query.silent === undefined) recordLogin(log, req, { success, userid: req.body.username });
    if (req.query.redirect !== undefined) res.redirect(success ? "/" : "/login?failed");
    else res.sendStatus(success ? 200 : 401);
  });
  app.get("/admin", (_req, res) => res.sendStatus(403));
  app.get("/forbidden", (_req, res) => res.sendStatus(403));
  app.get("/orders-of/:user", (req, res) => {
    const { user } = req.params;
    res.sendStatus(checkAccess(log, req, req.user.id === user, { resource: `orders/${user}` }) ? 200 : 404);
  });
  app.get("/slow", (req, res) => whenGone(req, res, () => res.sendStatus(403)));

  app.post("/validated", (req, res) => res.json(Person.parse(req.body)));
  app.post("/bare/:status", (req, res) => res.status(Number(req.params.status)).json({ error: "no" }));
  app.post("/upload", multer({ limits: { fileSize: CONTRACT.limit } }).single("avatar"), (_req, res) => res.send("up"));

  const { doubleCsrfProtection } = doubleCsrf({
    getSecret: () => "the secret of the double submit cookie",
    getSessionIdentifier: () => "session",
  });
  app.post("/form", doubleCsrfProtection, (_req, res) => res.send("sent"));
  app.get("/limited", rateLimit({ windowMs: 60_000, limit: 1, validate: false }), (_req, res) => res.send("ok"));
  const origin = (asked, callback) =>
    asked === undefined || asked === CONTRACT.origin
      ? callback(null, true)
      : callback(new Error("Not allowed by CORS"));
  app.get("/cors", cors({ origin }), (_req, res) => res.send("shared"));
  app.post("/origin", (req, res) => res.sendStatus(req.get("origin") === CONTRACT.origin ? 200 : 403));
  app.get("/host", (req, res) => res.sendStatus(req.get("host") === "evil.example" ? 421 : 200));
  app.get("/broken", () => {
    throw new TypeError("a mistake in the application");
  });
  const { folder, remove } = publicFolder();
  app.use("/files", express.static(folder));
  app.use((error, _req, res, next) => {
    if (error.name === "ZodError") res.status(400).json({ error: "invalid" });
    else next(error);
  });

  const server = createServer(app);
  refuseUpgrades(server);
  return await serve(server, remove);
}
