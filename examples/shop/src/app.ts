import { fileURLToPath } from "node:url";
import cookieParser from "cookie-parser";
import { doubleCsrf } from "csrf-csrf";
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from "express";
import { rateLimit } from "express-rate-limit";
import helmet from "helmet";
import { type SecurityLog, setActor } from "seclog";
import { checkAccess, recordLogin, securityCapture } from "seclog/express";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import { type Account, checkPassword, newSessionId, Sessions } from "./accounts.ts";
import { findProduct, MOST_PIECES, Orders, vouchers } from "./catalogue.ts";
import type { Html } from "./html.ts";
import * as pages from "./pages.ts";
import type { Settings } from "./settings.ts";

declare module "express-serve-static-core" {
  interface Request {
    /** The id in the visitor's cookie, signed in or not. */
    sessionId: string;
    /** The account that is signed in. */
    account: Account | undefined;
  }
}

/** A refusal, in the words that the visitor reads. */
class Refusal extends Error {
  readonly status: number;
  readonly title: string;

  constructor(status: number, title: string, text: string) {
    super(text);
    this.status = status;
    this.title = title;
  }
}

/** The whole shop as an Express application. */
export function createShop(settings: Settings, security: SecurityLog): Express {
  const app = express();
  const sessions = new Sessions();
  const orders = new Orders();
  const cookie = { httpOnly: true, sameSite: "lax", secure: settings.secureCookies, path: "/" } as const;
  const prefix = settings.secureCookies ? "__Host-" : "";

  app.set("trust proxy", settings.trustProxy);
  // First, so that it sees what everything after it refuses.
  app.use(securityCapture(security));

  app.use(
    helmet({
      contentSecurityPolicy: {
        directives: {
          defaultSrc: ["'self'"],
          styleSrc: ["'self'"],
          upgradeInsecureRequests: settings.secureCookies ? [] : null,
        },
      },
      strictTransportSecurity: settings.secureCookies,
    }),
  );
  app.use(cookieParser());
  app.use((req, res, next) => {
    const known: unknown = req.cookies[`${prefix}sid`];
    req.sessionId = typeof known === "string" && /^[\w-]{43}$/.test(known) ? known : signedOut(res);
    req.account = sessions.find(req.sessionId);
    if (req.account !== undefined) setActor({ id: req.account.id, type: req.account.role });
    next();
  });
  app.use(express.static(fileURLToPath(new URL("../public", import.meta.url)), { maxAge: "1h" }));

  const csrf = doubleCsrf({
    getSecret: () => settings.csrfSecret,
    getSessionIdentifier: (req) => req.sessionId,
    getCsrfTokenFromRequest: (req) => (typeof req.body?._csrf === "string" ? req.body._csrf : undefined),
    cookieName: `${prefix}csrf`,
    cookieOptions: { ...cookie, sameSite: "strict" },
  });
  const form: RequestHandler[] = [express.urlencoded({ extended: false, limit: "10kb" }), csrf.doubleCsrfProtection];

  function signedOut(res: Response): string {
    const id = newSessionId();
    res.cookie(`${prefix}sid`, id, cookie);
    return id;
  }

  function viewer(req: Request, res: Response): pages.Viewer {
    return { account: req.account, csrfToken: csrf.generateCsrfToken(req, res) };
  }

  function show(res: Response, page: Html, statusCode = 200): void {
    res.status(statusCode).type("html").set("Cache-Control", "no-store").send(page.text);
  }

  function signedIn(req: Request): Account {
    if (req.account === undefined) throw new Refusal(401, "Please sign in", "This page is for people with an account.");
    return req.account;
  }

  // The catalogue.

  app.get("/", (req, res) => show(res, pages.cataloguePage(viewer(req, res))));

  app.get("/products/:id", (req, res) => {
    const product = findProduct(req.params.id);
    if (product === undefined) throw new Refusal(404, "No such pot", "It may have been the last of its kind.");
    show(res, pages.productPage(viewer(req, res), product));
  });

  // Signing in and out.

  const loginLimit = rateLimit({
    windowMs: 60_000,
    limit: 10,
    skipSuccessfulRequests: true,
    standardHeaders: "draft-8",
    legacyHeaders: false,
    handler: (_req, _res, next) =>
      next(new Refusal(429, "Too many attempts", "Wait a minute before you try to sign in again.")),
  });

  app.get("/login", (req, res) => show(res, pages.loginPage(viewer(req, res))));

  app.post("/login", loginLimit, ...form, async (req, res) => {
    const { name, password } = req.body as { readonly name?: unknown; readonly password?: unknown };
    const userid = String(name ?? "").slice(0, 64);
    const account = settings.accounts.find(({ id }) => id === userid);
    const matches = await checkPassword(account, String(password ?? ""));
    const success = account !== undefined && matches;
    recordLogin(security, req, { userid, success, statusCode: success ? 303 : 401 });
    if (!success) {
      show(res, pages.loginPage(viewer(req, res), "That name and password do not go together."), 401);
      return;
    }
    res.cookie(`${prefix}sid`, sessions.start(account), cookie);
    res.redirect(303, account.role === "admin" ? "/admin" : "/account");
  });

  app.post("/logout", ...form, (req, res) => {
    if (req.account !== undefined) security.recordSecurityEvent("session_logout", req, { userid: req.account.id });
    sessions.end(req.sessionId);
    signedOut(res);
    res.redirect(303, "/");
  });

  // Orders.

  app.get("/account", (req, res) => {
    const account = signedIn(req);
    show(res, pages.accountPage(viewer(req, res), account, orders.of(account.id)));
  });

  app.post("/orders", ...form, (req, res) => {
    const account = signedIn(req);
    const { product: id, pieces: text } = req.body as { readonly product?: unknown; readonly pieces?: unknown };
    const product = findProduct(id);
    const pieces = Number(text);
    if (product === undefined || !isPieces(pieces)) {
      const fields = [...(product === undefined ? ["product"] : []), ...(isPieces(pieces) ? [] : ["pieces"])];
      security.recordSecurityEvent("input_validation_fail", req, { userid: account.id, fields, statusCode: 422 });
      throw new Refusal(422, "That cannot be ordered", `Choose a pot of ours, and 1 to ${MOST_PIECES} of it.`);
    }
    res.redirect(303, `/orders/${orders.place(account.id, product, pieces).id}`);
  });

  app.get("/orders/:id", (req, res) => {
    const account = signedIn(req);
    const order = orders.find(Number(req.params.id));
    const granted = order === undefined || order.accountId === account.id || account.role === "admin";
    // The visitor reads 404 either way, so that orders cannot be counted. The log records which case it was.
    checkAccess(security, req, granted, { userid: account.id, resource: `order/${req.params.id}`, statusCode: 404 });
    if (order === undefined || !granted) {
      throw new Refusal(404, "No such order", "Check the number, or look at your orders.");
    }
    show(res, pages.orderPage(viewer(req, res), order));
  });

  app.get("/admin", (req, res) => {
    if (signedIn(req).role !== "admin") throw new Refusal(403, "Not for you", "Only the shop's owner sees all orders.");
    show(res, pages.adminPage(viewer(req, res), orders.all()));
  });

  // For programs.

  const voucherLimit = rateLimit({ windowMs: 60_000, limit: 3, standardHeaders: "draft-8", legacyHeaders: false });

  app.get("/api/vouchers/:code", voucherLimit, (req, res) => {
    if (!vouchers.has(String(req.params["code"]))) throw new Refusal(404, "No such voucher", "Check the code.");
    res.json({ percentOff: 10 });
  });

  app.post("/api/quotes", express.json({ limit: "10kb" }), (req, res) => {
    if (!req.is("json")) throw new Refusal(415, "Not JSON", "Send application/json.");
    const product = findProduct(req.body?.product);
    const pieces: unknown = req.body?.pieces ?? 1;
    if (product === undefined || !isPieces(pieces)) {
      throw new Refusal(422, "No quote", `Name a product, and 1 to ${MOST_PIECES} pieces.`);
    }
    res.json({ product: product.id, pieces, cents: pieces * product.price });
  });

  const payments = new Webhook(settings.webhookSecret);

  app.post("/webhooks/payments", express.raw({ type: () => true, limit: "64kb" }), (req, res) => {
    const body = Buffer.isBuffer(req.body) ? req.body : "";
    const payment = payments.verify(body, req.headers as Record<string, string>) as { readonly order?: unknown };
    const order = orders.find(Number(payment.order));
    if (order !== undefined) order.status = "paid";
    res.status(204).end();
  });

  // Unknown paths, and errors.

  app.use(() => {
    throw new Refusal(404, "Nothing here", "The page has moved, or it never was.");
  });

  const answerProblem: ErrorRequestHandler = (error: unknown, req, res, next) => {
    if (res.headersSent) {
      next(error);
      return;
    }
    const { statusCode, title, text } = problemOf(error);
    if (statusCode >= 500) console.error(error);
    if (req.path.startsWith("/api/") || req.path.startsWith("/webhooks/")) {
      res.status(statusCode).json({ error: title, message: text });
    } else {
      show(res, pages.problemPage(viewer(req, res), statusCode, title, text), statusCode);
    }
  };
  app.use(answerProblem);
  return app;
}

function isPieces(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MOST_PIECES;
}

function problemOf(error: unknown): { readonly statusCode: number; readonly title: string; readonly text: string } {
  if (error instanceof Refusal) return { statusCode: error.status, title: error.title, text: error.message };
  if (error instanceof WebhookVerificationError) {
    return { statusCode: 400, title: "Not verified", text: "The signature does not fit the message." };
  }
  const status = typeof error === "object" && error !== null && "status" in error ? Number(error.status) : 500;
  if (status === 403) {
    return {
      statusCode: 403,
      title: "The form has expired",
      text: "Go back, load the page again and send it once more.",
    };
  }
  return status >= 400 && status < 500
    ? {
        statusCode: status,
        title: "We did not understand",
        text: "The request was not in a form that the shop can read.",
      }
    : { statusCode: 500, title: "Our mistake", text: "Something broke on our side. Please try again." };
}
