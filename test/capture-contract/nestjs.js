/** The contract's application in NestJS 12, on Express and on Fastify. Decorators are called as TypeScript calls them. */
import "reflect-metadata";
import { once } from "node:events";
import cookie from "@fastify/cookie";
import fastifyCors from "@fastify/cors";
import fastifyCsrf from "@fastify/csrf-protection";
import multipart from "@fastify/multipart";
import fastifyRateLimit from "@fastify/rate-limit";
import fastifyStatic from "@fastify/static";
import {
  BadRequestException,
  Body,
  Controller,
  Delete,
  ForbiddenException,
  Get,
  HttpCode,
  HttpException,
  Module,
  NotFoundException,
  Post,
  Req,
  Res,
  UnauthorizedException,
  UploadedFile,
  UseGuards,
  UseInterceptors,
  ValidationPipe,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter, FileInterceptor } from "@nestjs/platform-express";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import { IsEmail, IsNumber } from "class-validator";
import cookieParser from "cookie-parser";
import cors from "cors";
import { doubleCsrf } from "csrf-csrf";
import express from "express";
import { rateLimit } from "express-rate-limit";
import jsonwebtoken from "jsonwebtoken";
import { checkAccess, noteError, recordLogin, SeclogModule } from "seclog/nestjs";
import { CONTRACT } from "seclog/testing";
import { accepts, publicFolder, refuseUpgrades, stripe, userOf, webhook, whenGone } from "./shared.js";

export const nestExpressFramework = {
  name: "NestJS on Express",
  open: (log, options) => open(new ExpressAdapter(), prepareExpress, log, options),
  skip: {},
};
export const nestFastifyFramework = {
  name: "NestJS on Fastify",
  open: (log, options) =>
    open(new FastifyAdapter({ trustProxy: "127.0.0.1", bodyLimit: CONTRACT.limit }), prepareFastify, log, options),
  skip: {},
};

class PersonDto {}
IsEmail()(PersonDto.prototype, "email");
IsNumber()(PersonDto.prototype, "age");

const raw = (request) => request.raw ?? request;

/** The guard of Nest's manual, which throws its own exception, with one line more. */
class TokenGuard {
  canActivate(context) {
    const { authorization } = context.switchToHttp().getRequest().headers;
    try {
      jsonwebtoken.verify(authorization.slice("Bearer ".length), CONTRACT.tokenSecret);
      return true;
    } catch (error) {
      noteError(error);
      throw new UnauthorizedException();
    }
  }
}

/** A controller of handlers `[method, path, handler(request, response)]`. */
function controllerOf(prefix, handlers) {
  class Made {}
  for (const [at, [method, path, handler, ...decorators]] of handlers.entries()) {
    const name = `handler${at}`;
    Made.prototype[name] = (request, response) => handler(request, response);
    const descriptor = Object.getOwnPropertyDescriptor(Made.prototype, name);
    method(path)(Made.prototype, name, descriptor);
    for (const decorate of decorators) decorate(Made.prototype, name, descriptor);
    Req()(Made.prototype, name, 0);
    Res({ passthrough: true })(Made.prototype, name, 1);
  }
  Controller(prefix)(Made);
  return Made;
}

function controllers(log) {
  const Orders = controllerOf("api/orders", [
    [Get, ":id", () => "order"],
    [Delete, ":id", () => undefined, HttpCode(204)],
  ]);
  const Shop = controllerOf("", [
    [
      Post,
      "orders",
      (request) => {
        if (!/^application\/json\b/.test(request.headers["content-type"] ?? "")) throw new HttpException("no", 415);
      },
    ],
    [
      Get,
      "private",
      (_request, response) => {
        response.header("WWW-Authenticate", 'Bearer realm="shop"');
        throw new UnauthorizedException();
      },
    ],
    [Get, "token", () => "in", UseGuards(TokenGuard)],
    [
      Post,
      "login",
      (request, response) => {
        const success = accepts(request.body);
        if (request.query.silent === undefined) recordLogin(log, request, { success, userid: request.body.username });
        if (request.query.redirect !== undefined) {
          response.header("Location", "/login?failed");
          response.status(302);
        } else response.status(success ? 200 : 401);
      },
    ],
    [
      Get,
      "admin",
      () => {
        throw new ForbiddenException();
      },
    ],
    [
      Get,
      "forbidden",
      () => {
        throw new ForbiddenException();
      },
    ],
    [
      Get,
      "orders-of/:user",
      (request) => {
        const { user } = request.params;
        const granted = checkAccess(log, request, request.user.id === user, { resource: `orders/${user}` });
        if (!granted) throw new NotFoundException();
      },
    ],
    [
      Get,
      "slow",
      async (request, response) => {
        await new Promise((resolve) => whenGone(raw(request), response.raw ?? response, resolve));
        throw new ForbiddenException();
      },
    ],
    [Post, "bare/:status", (request, response) => void response.status(Number(request.params.status))],
    [
      Post,
      "stripe",
      (request) => {
        try {
          stripe.constructEvent(request.rawBody, request.headers["stripe-signature"], CONTRACT.webhookSecret);
        } catch (error) {
          throw new BadRequestException(`Webhook Error: ${error.message}`);
        }
      },
    ],
    [Post, "webhook", (request) => webhook.verify(request.rawBody, request.headers)],
    [Post, "form", () => "sent"],
    [Get, "limited", () => "ok"],
    [Get, "cors", () => "shared"],
    [
      Post,
      "origin",
      (request) => {
        if (request.headers.origin !== CONTRACT.origin) throw new ForbiddenException();
      },
    ],
    [
      Get,
      "host",
      (request) => {
        if (request.headers.host === "evil.example") throw new HttpException("not here", 421);
      },
    ],
    [
      Get,
      "broken",
      () => {
        throw new TypeError("a mistake in the application");
      },
    ],
  ]);

  class Validated {
    check(person) {
      return person;
    }
  }
  Post("validated")(Validated.prototype, "check", Object.getOwnPropertyDescriptor(Validated.prototype, "check"));
  Body()(Validated.prototype, "check", 0);
  Reflect.defineMetadata("design:paramtypes", [PersonDto], Validated.prototype, "check");
  Controller()(Validated);
  return [Orders, Shop, Validated];
}

async function open(adapter, prepare, log, options) {
  class AppModule {}
  Module({
    imports: [SeclogModule.forRoot({ log, closeOnShutdown: false, ...options })],
    controllers: [...controllers(log), ...(adapter instanceof ExpressAdapter ? [uploads()] : [])],
  })(AppModule);
  const app = await NestFactory.create(AppModule, adapter, { logger: false, rawBody: true });
  // biome-ignore lint/correctness/useHookAtTopLevel: Nest's methods are not hooks of React
  app.useGlobalPipes(new ValidationPipe());
  const { folder, remove } = publicFolder();
  await prepare(app, folder);
  refuseUpgrades(app.getHttpServer());
  await app.listen(0, "127.0.0.1");
  const server = app.getHttpServer();
  if (!server.listening) await once(server, "listening");
  return {
    port: server.address().port,
    async close() {
      server.closeAllConnections();
      await app.close();
      remove();
    },
  };
}

/** Nest's own upload, which only its Express platform has. */
function uploads() {
  class Uploads {
    save() {
      return "up";
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Uploads.prototype, "save");
  Post("upload")(Uploads.prototype, "save", descriptor);
  const limits = { fileSize: CONTRACT.limit };
  UseInterceptors(FileInterceptor("avatar", { limits }))(Uploads.prototype, "save", descriptor);
  UploadedFile()(Uploads.prototype, "save", 0);
  Controller()(Uploads);
  return Uploads;
}

const refuseOrigin = (asked, callback) => callback(new Error(`Not allowed by CORS: ${asked}`));

function prepareExpress(app, folder) {
  app.set("trust proxy", "loopback");
  // biome-ignore lint/correctness/useHookAtTopLevel: Nest's methods are not hooks of React
  app.useBodyParser("json", { limit: CONTRACT.limit });
  app.use(cookieParser(), (request, _response, next) => {
    request.user = userOf(request.headers);
    next();
  });
  const { doubleCsrfProtection } = doubleCsrf({
    getSecret: () => "the secret of the double submit cookie",
    getSessionIdentifier: () => "session",
  });
  app.use("/form", doubleCsrfProtection);
  app.use("/limited", rateLimit({ windowMs: 60_000, limit: 1, validate: false }));
  app.use("/cors", cors({ origin: refuseOrigin }));
  app.use("/files", express.static(folder));
}

async function prepareFastify(app, folder) {
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook("onRequest", async (request) => {
    request.user = userOf(request.headers);
  });
  await app.register(cookie);
  await app.register(fastifyCsrf);
  await app.register(multipart, { limits: { fileSize: CONTRACT.limit } });
  await app.register(fastifyRateLimit, {
    global: true,
    max: 1,
    timeWindow: 60_000,
    allowList: (request) => request.url !== "/limited",
    // Nest answers 500 to errors that are not its own.
    errorResponseBuilder: (_request, { statusCode }) => new HttpException("slow down", statusCode),
  });
  await app.register(fastifyStatic, { root: folder, prefix: "/files/" });
  await app.register(fastifyCors, {
    delegator: ({ url }, callback) => callback(null, { origin: url === "/cors" ? refuseOrigin : false }),
  });
  fastify.addHook("preHandler", (request, reply, done) => {
    if (request.url === "/form") fastify.csrfProtection(request, reply, done);
    else done();
  });
  fastify.post("/upload", async (request) => {
    await (await request.file()).toBuffer();
    return "up";
  });
}
