import "reflect-metadata";
import {
  BadRequestException,
  Body,
  ConflictException,
  Controller,
  Delete,
  Get,
  type INestApplication,
  Module,
  Post,
  ValidationPipe,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter } from "@nestjs/platform-express";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import { ArrayMaxSize, IsEmail, MinLength } from "class-validator";
import { describe, expect, it, onTestFinished } from "vitest";
import { memoryLog } from "../../testing/memory-log.ts";
import { InjectSecurityLog, SeclogModule, SecurityEvent } from "./nestjs.ts";

const PLATFORMS = [
  ["Express", () => new ExpressAdapter()],
  ["Fastify", () => new FastifyAdapter()],
] as const;

type Handler = (...values: unknown[]) => unknown;

/** A controller of one handler, decorated as TypeScript would. */
function controllerOf(handler: Handler, decorators: readonly MethodDecorator[], dto?: new () => object) {
  class Made {
    handle(...values: unknown[]): unknown {
      return Reflect.apply(handler, this, values);
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Made.prototype, "handle") as PropertyDescriptor;
  for (const decorate of decorators) decorate(Made.prototype, "handle", descriptor);
  if (dto !== undefined) {
    Body()(Made.prototype, "handle", 0);
    Reflect.defineMetadata("design:paramtypes", [dto], Made.prototype, "handle");
  }
  Controller()(Made);
  return Made;
}

type Adapter = (typeof PLATFORMS)[number][1];

async function start(adapter: Adapter, module: object, controllers: readonly (new (...values: never[]) => object)[]) {
  class AppModule {}
  Module({ imports: [module as never], controllers: [...controllers] })(AppModule);
  const app = await NestFactory.create<INestApplication>(AppModule, adapter() as never, {
    logger: false,
    abortOnError: false,
  });
  onTestFinished(() => app.close());
  return app;
}

async function listening(app: INestApplication): Promise<string> {
  await app.listen(0, "127.0.0.1");
  return await app.getUrl();
}

describe.each(PLATFORMS)("SeclogModule on %s", (_, adapter) => {
  it("@SecurityEvent() - records once when a handler succeeds, with its request, and nothing when it throws", async () => {
    const log = memoryLog();
    const removed = controllerOf(
      async () => ({ removed: true }),
      [
        Delete("users/:id"),
        SecurityEvent("user_deleted", (request: { params: { id: string } }, result) => ({
          onuserid: request.params.id,
          result,
        })),
      ],
    );
    const conflict = controllerOf(() => {
      throw new ConflictException();
    }, [Post("users"), SecurityEvent("user_created")]);
    const odd = controllerOf(
      () => undefined,
      [
        Get("odd"),
        SecurityEvent("sensitive_read", () => {
          throw new Error("the application's mistake");
        }),
      ],
    );
    const app = await start(adapter, SeclogModule.forRoot({ log, closeOnShutdown: false }), [removed, conflict, odd]);
    const url = await listening(app);
    expect((await fetch(`${url}/users/7`, { method: "DELETE" })).status).toBe(200);
    expect((await fetch(`${url}/users`, { method: "POST" })).status).toBe(409);
    expect((await fetch(`${url}/odd`)).status).toBe(200);
    expect(await log.events()).toMatchObject([
      {
        type: "user_deleted",
        path: "/users/7",
        route: "/users/:id",
        data: { onuserid: "7", result: { removed: true } },
      },
      { type: "sensitive_read", path: "/odd" },
    ]);
    expect(await log.events()).toHaveLength(2);
    await log.close();
  });

  it("@InjectSecurityLog() - injects the log of forRootAsync(), which waits for its factory", async () => {
    const log = memoryLog();
    const Settings = Symbol("settings");
    class SettingsModule {}
    Module({ providers: [{ provide: Settings, useValue: { log } }], exports: [Settings] })(SettingsModule);
    class Reports {
      readonly #log: typeof log;
      constructor(given: typeof log) {
        this.#log = given;
      }
      read(): string {
        this.#log.recordSecurityEvent("sensitive_read", undefined, { object: "report" });
        return "report";
      }
    }
    Get("report")(
      Reports.prototype,
      "read",
      Object.getOwnPropertyDescriptor(Reports.prototype, "read") as PropertyDescriptor,
    );
    Controller()(Reports);
    InjectSecurityLog()(Reports, undefined, 0);
    const module = SeclogModule.forRootAsync({
      imports: [SettingsModule],
      inject: [Settings],
      useFactory: async (settings: { log: typeof log }) => ({ log: settings.log, closeOnShutdown: false }),
    });
    const url = await listening(await start(adapter, module, [Reports]));
    await fetch(`${url}/report`);
    // The current request, without passing it.
    expect(await log.events()).toMatchObject([{ type: "sensitive_read", path: "/report" }]);
    await log.close();
  });

  it("records the fields that ValidationPipe refuses, with its own options as well, and no other 400", async () => {
    const log = memoryLog();
    class Dto {}
    IsEmail()(Dto.prototype, "email");
    MinLength(3, { each: true })(Dto.prototype, "tags");
    ArrayMaxSize(2)(Dto.prototype, "tags");
    const checked = controllerOf(() => "ok", [Post("checked")], Dto);
    const bare = controllerOf(() => {
      throw new BadRequestException(["planted value", "please no"]);
    }, [Post("bare")]);
    const app = await start(adapter, SeclogModule.forRoot({ log, closeOnShutdown: false }), [checked, bare]);
    app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, errorHttpStatusCode: 422 }));
    const url = await listening(app);
    const body = JSON.stringify({ email: "planted", tags: ["x"], isAdmin: true });
    const headers = { "content-type": "application/json" };
    expect((await fetch(`${url}/checked`, { method: "POST", body, headers })).status).toBe(422);
    expect((await fetch(`${url}/bare`, { method: "POST" })).status).toBe(400);
    const events = await log.events();
    expect(events[0]?.data).toMatchObject({ reason: "ValidationPipe" });
    expect(events[0]?.data?.["fields"]).toEqual(expect.arrayContaining(["email", "isAdmin", "tags"]));
    expect(JSON.stringify(events)).not.toContain("planted");
    await log.close();
  });

  it("closes the log when the application has shut down, so that its last hooks still record", async () => {
    const log = memoryLog();
    const app = await start(adapter, SeclogModule.forRoot({ log }), []);
    await app.init();
    await app.close();
    expect(log.recordSecurityEvent("sys_shutdown").id).toBeNull();
  });

  it("stops the application for an unknown option", async () => {
    const log = memoryLog();
    const module = SeclogModule.forRoot({ log, detects: {} } as never);
    await expect(start(adapter, module, [])).rejects.toThrow(/detects/);
    await log.close();
  });
});
