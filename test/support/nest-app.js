/**
 * A NestJS application with `enableShutdownHooks()`, which raises the signal again when its hooks have run.
 * `PLATFORM` is its platform, `CLOSE` how it closes the log: by a `provider`, by the README's `handler` of the signal,
 * or by a handler that only receives the first signal (`once`).
 */
import "reflect-metadata";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter } from "@nestjs/platform-express";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import { createSecurityLog } from "seclog";
import { securityCapture as expressCapture } from "seclog/express";
import { securityCapture as fastifyCapture } from "seclog/fastify";
import { fileHandler } from "seclog/file";

const { PLATFORM, CLOSE, SPOOL, OUT } = process.env;

const security = createSecurityLog({
  service: "nest",
  spool: { directory: SPOOL },
  handlers: [fileHandler({ path: OUT })],
});

class SecurityLogShutdown {
  async onApplicationShutdown() {
    await security.close();
  }
}

class AppModule {}
Module({ providers: CLOSE === "provider" ? [SecurityLogShutdown] : [] })(AppModule);

const adapter = PLATFORM === "fastify" ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(AppModule, adapter, { logger: false });
if (PLATFORM === "fastify") await app.register(fastifyCapture, { log: security });
else app.use(expressCapture(security));
app.enableShutdownHooks();
await app.listen(0, "127.0.0.1");

if (CLOSE !== "provider") {
  process[CLOSE === "handler" ? "on" : "once"]("SIGTERM", () => {
    app.getHttpServer().close();
    void security.close();
  });
}
// Recorded in the same turn as the signal.
process.prependOnceListener("SIGTERM", () =>
  security.recordSecurityEvent("sys_shutdown", undefined, { userid: "nest" }),
);
process.send("listening");
