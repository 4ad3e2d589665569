import "reflect-metadata";
import {
  Body,
  type CanActivate,
  Controller,
  Delete,
  type ExecutionContext,
  ForbiddenException,
  Get,
  HttpCode,
  Module,
  NotFoundException,
  Param,
  Post,
  Req,
  UnauthorizedException,
  UseGuards,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import type { NestExpressApplication } from "@nestjs/platform-express";
import type { Request } from "express";
import { createSecurityLog, type SecurityLog, setActor } from "seclog";
import { checkAccess, InjectSecurityLog, recordLogin, SeclogModule, SecurityEvent } from "seclog/nestjs";

// Your authentication. Passport's guards leave their user where Seclog finds it by itself.
class UserGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const id = context.switchToHttp().getRequest<Request>().get("x-user");
    if (id === undefined) throw new UnauthorizedException();
    setActor({ id });
    return true;
  }
}

@Controller()
class ShopController {
  readonly #security: SecurityLog;

  constructor(@InjectSecurityLog() security: SecurityLog) {
    this.#security = security;
  }

  @Post("login")
  @HttpCode(204)
  login(@Req() req: Request, @Body() { name, password }: { name: string; password: string }): void {
    const success = password === "correct horse";
    recordLogin(this.#security, req, { userid: name, success });
    if (!success) throw new UnauthorizedException();
  }

  @Get("orders/:owner")
  @UseGuards(UserGuard)
  orders(@Req() req: Request, @Param("owner") owner: string): readonly string[] {
    const granted = req.get("x-user") === owner;
    if (checkAccess(this.#security, req, granted, { resource: `orders of ${owner}` })) return [];
    throw new NotFoundException(); // the refusal is recorded, whatever is answered
  }

  @Delete("users/:id")
  @HttpCode(204)
  @UseGuards(UserGuard)
  @SecurityEvent("user_deleted", (req: { params: { id: string } }) => ({ onuserid: req.params.id }))
  remove(@Req() req: Request): void {
    if (req.get("x-user") !== "root") throw new ForbiddenException();
  }
}

// Without handlers it prints its events. In production: { spool: { directory }, handlers: [postgresHandler()] }
const log = createSecurityLog({ service: "example" });

@Module({ imports: [SeclogModule.forRoot({ log })], controllers: [ShopController], providers: [UserGuard] })
class AppModule {}

const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: false });
app.set("trust proxy", "loopback"); // the proxy in front of the application: events have the client's address
app.enableShutdownHooks(); // a signal closes the application, and the module closes the log

const port = Number(process.env["PORT"] ?? 3000);
await app.listen(port, "127.0.0.1");
console.log(`listening on http://127.0.0.1:${port}`);
