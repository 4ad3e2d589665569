import http from "node:http";
import * as typeBox0 from "@sinclair/typebox";
import { Value as TypeBox0Value } from "@sinclair/typebox/value";
import { Ajv } from "ajv";
import { type } from "arktype";
import "reflect-metadata";
import { celebrate, isCelebrateError, Joi, Segments } from "celebrate";
import { type ClassConstructor, Type as NestedType, plainToInstance } from "class-transformer";
import { IsEmail, IsInt, ValidateNested, validateOrReject } from "class-validator";
import express from "express";
import { body, matchedData, validationResult } from "express-validator";
import { jwtVerify, SignJWT } from "jose";
import jsonwebtoken from "jsonwebtoken";
import lusca from "lusca";
import * as superstruct from "superstruct";
import Type from "typebox";
import { Value } from "typebox/value";
import * as v from "valibot";
import { describe, expect, it, onTestFinished } from "vitest";
import * as yup from "yup";
import * as z from "zod";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import { recordedCalls } from "#test/support/recorded-calls.ts";
import { securityCapture } from "./express/express.ts";
import { refusalOf } from "./refusal.ts";

/** What no event may contain. */
const PLANTED = "planted-value";
const INPUT = { email: PLANTED, user: { age: PLANTED } };

async function thrownBy(run: () => unknown): Promise<unknown> {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("the fields that a schema refuses", () => {
  const LIBRARIES: { readonly [name: string]: () => unknown } = {
    Zod: () => z.object({ email: z.email(), user: z.object({ age: z.number() }) }).parse(INPUT),
    Valibot: () =>
      v.parse(v.object({ email: v.pipe(v.string(), v.email()), user: v.object({ age: v.number() }) }), INPUT),
    ArkType: () => type({ email: "string.email", user: { age: "number" } }).assert(INPUT),
    Yup: () =>
      yup
        .object({ email: yup.string().email(), user: yup.object({ age: yup.number() }) })
        .validate(INPUT, { abortEarly: false }),
    Joi: () =>
      Joi.attempt(INPUT, Joi.object({ email: Joi.string().email(), user: Joi.object({ age: Joi.number() }) }), {
        abortEarly: false,
      }),
    Ajv: async () =>
      await new Ajv({ allErrors: true }).compile({
        $async: true,
        type: "object",
        properties: { email: { type: "number" }, user: { properties: { age: { type: "number" } } } },
      })(INPUT),
    "class-validator": async () => await validateOrReject(plainToInstance(signUp(), INPUT)),
    TypeBox: () =>
      Value.Decode(Type.Object({ email: Type.Number(), user: Type.Object({ age: Type.Number() }) }), INPUT),
  };

  it.each(Object.entries(LIBRARIES))("%s: by name, never by value", async (name, run) => {
    const refusal = refusalOf(await thrownBy(run));
    expect(refusal).toMatchObject({ detector: "validation", ifRefused: true });
    const separator = name === "Ajv" || name === "TypeBox" ? "/" : ".";
    expect([...(refusal?.facts.fields ?? [])].sort()).toEqual(["email", `user${separator}age`]);
    expect(JSON.stringify(refusal)).not.toContain(PLANTED);
  });

  it("class-validator's within another error, as routing-controllers throws them", async () => {
    const errors = await thrownBy(async () => await validateOrReject(plainToInstance(signUp(), INPUT)));
    expect(refusalOf(Object.assign(new Error("invalid"), { errors }))?.facts.fields).toEqual(["email", "user.age"]);
    expect(refusalOf([])).toBeUndefined();
    expect(refusalOf(Object.assign(new Error("other"), { errors: [{ property: "a" }] }))).toBeUndefined();
  });

  it("TypeBox: missing members, and the first field of its earlier versions", async () => {
    const schema = Type.Object({ email: Type.String(), zip: Type.String() });
    expect(refusalOf(await thrownBy(() => Value.Parse(schema, {})))?.facts.fields).toEqual(["email", "zip"]);
    const { Type: Type0 } = typeBox0;
    const earlier = Type0.Object({ user: Type0.Object({ age: Type0.Number() }) });
    for (const check of [TypeBox0Value.Assert, TypeBox0Value.Decode]) {
      expect(refusalOf(await thrownBy(() => check(earlier, INPUT)))?.facts.fields).toEqual(["user/age"]);
    }
  });

  it("Superstruct: the first of them", async () => {
    const { object, string, number, assert } = superstruct;
    const error = await thrownBy(() => assert(INPUT, object({ email: string(), user: object({ age: number() }) })));
    expect(refusalOf(error)?.facts.fields).toEqual(["user.age"]);
  });

  it("is a failure of the application, not a refusal, where it is answered with 500", async () => {
    const { log, calls } = recordedCalls();
    const app = express();
    app.set("env", "test");
    app.use(securityCapture(log));
    app.get("/upstream", () => {
      z.object({ id: z.number() }).parse({ id: PLANTED });
    });
    await send(await serve(app), "GET", "/upstream");
    expect(calls).toMatchObject([{ type: "sys_error", data: { reason: "ZodError" } }]);
    expect(calls).toHaveLength(1);
  });
});

/** A class as its users write it, without the syntax of decorators. */
function signUp(): ClassConstructor<object> {
  class User {}
  IsInt()(User.prototype, "age");
  class SignUp {}
  IsEmail()(SignUp.prototype, "email");
  ValidateNested()(SignUp.prototype, "user");
  NestedType(() => User)(SignUp.prototype, "user");
  return SignUp;
}

async function serve(app: http.RequestListener): Promise<number> {
  const server = http.createServer(app);
  onTestFinished(() => closeServer(server));
  return await listen(server);
}

describe("middleware of Express that refuses input", () => {
  const JSON_BODY = { headers: { "content-type": "application/json" }, body: JSON.stringify(INPUT) };

  it("express-validator, which throws nothing: from what it leaves on the request", async () => {
    const { log, calls } = recordedCalls();
    const app = express();
    app.use(securityCapture(log), express.json());
    app.post("/", body("email").isEmail(), body("user.age").isInt(), (req, res) => {
      if (validationResult(req).isEmpty()) res.json(matchedData(req));
      else res.status(400).json({ error: "invalid" });
    });
    await send(await serve(app), "POST", "/", JSON_BODY);
    expect(calls).toMatchObject([
      { type: "input_validation_fail", data: { statusCode: 400, fields: ["email", "user.age"] } },
    ]);
    expect(JSON.stringify(calls[0]?.data)).not.toContain(PLANTED);
  });

  it("celebrate, whatever the application answers its error with", async () => {
    const { log, calls } = recordedCalls();
    const app = express();
    app.use(securityCapture(log), express.json());
    const schema = { email: Joi.string().email(), user: Joi.object({ age: Joi.number() }) };
    app.post("/", celebrate({ [Segments.BODY]: schema }, { abortEarly: false }), (_req, res) => void res.send("ok"));
    app.use((error: unknown, _req: unknown, res: express.Response, next: (error: unknown) => void) => {
      if (isCelebrateError(error)) res.status(422).send("invalid");
      else next(error);
    });
    await send(await serve(app), "POST", "/", JSON_BODY);
    expect(calls).toMatchObject([
      { type: "input_validation_fail", data: { statusCode: 422, fields: ["email", "user.age"] } },
    ]);
    expect(JSON.stringify(calls[0]?.data)).not.toContain(PLANTED);
  });

  it("lusca, whose CSRF error has no code", async () => {
    const { log, calls } = recordedCalls();
    const app = express();
    app.set("env", "test");
    app.use(securityCapture(log));
    app.use((req, _res, next) => {
      Object.assign(req, { session: {} });
      next();
    });
    app.use(lusca.csrf());
    app.post("/", (_req, res) => void res.send("sent"));
    await send(await serve(app), "POST", "/");
    expect(calls).toMatchObject([{ type: "malicious_csrf", data: { statusCode: 403 } }]);
    expect(calls).toHaveLength(1);
  });
});

describe("the reason why a token is refused", () => {
  const SECRET = "a secret of the test that is long enough";
  const key = new TextEncoder().encode(SECRET);
  const past = Math.floor(Date.now() / 1000) - 60;

  it("jose", async () => {
    const sign = (claims: { aud?: string; exp?: number }) =>
      new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(key);
    const reason = async (token: string, options = {}, secret = key) =>
      refusalOf(await thrownBy(() => jwtVerify(token, secret, options)));
    const of = (code: string) => ({ detector: "unauthenticated", facts: { reason: code } });
    expect(await reason(await sign({ exp: past }))).toEqual(of("ERR_JWT_EXPIRED"));
    expect(await reason(await sign({ aud: PLANTED }), { audience: "shop" })).toEqual(
      of("ERR_JWT_CLAIM_VALIDATION_FAILED"),
    );
    expect(await reason(await sign({}), {}, new Uint8Array(32))).toEqual(of("ERR_JWS_SIGNATURE_VERIFICATION_FAILED"));
    expect(await reason(await sign({}), { algorithms: ["HS512"] })).toEqual(of("ERR_JOSE_ALG_NOT_ALLOWED"));
    expect(await reason(PLANTED)).toEqual(of("ERR_JWS_INVALID"));
  });

  it("jsonwebtoken", async () => {
    const { sign, verify } = jsonwebtoken;
    const reason = async (token: string, options = {}, secret = SECRET) =>
      refusalOf(await thrownBy(() => verify(token, secret, options)))?.facts.reason;
    expect(await reason(sign({ exp: past }, SECRET))).toBe("TokenExpiredError");
    expect(await reason(sign({ nbf: past + 3600 }, SECRET))).toBe("NotBeforeError");
    expect(await reason(sign({}, "another"))).toBe("invalid signature");
    expect(await reason(sign({ aud: PLANTED }, SECRET), { audience: PLANTED.toUpperCase() })).toBe(
      "jwt audience invalid",
    );
    expect(await reason(PLANTED)).toBe("jwt malformed");
  });

  it("nothing for other errors, however odd", () => {
    const odd: unknown[] = [
      new Error("expired"),
      Object.assign(new Error("x"), { cause: { name: "Error" } }),
      Object.assign(Object.create(null), { name: 7, code: {} }),
      new Proxy(
        {},
        {
          get() {
            throw new Error("trap");
          },
        },
      ),
      null,
      "JsonWebTokenError",
    ];
    for (const error of odd) expect(refusalOf(error)).toBeUndefined();
    const cyclic: { name: string; inner?: unknown } = { name: "Error" };
    cyclic.inner = cyclic;
    expect(refusalOf(cyclic)).toBeUndefined();
  });
});
