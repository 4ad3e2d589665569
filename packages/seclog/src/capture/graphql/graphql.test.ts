import { createServer } from "node:http";
import { createRequire } from "node:module";
import { ApolloServer } from "@apollo/server";
import { expressMiddleware } from "@as-integrations/express5";
import { maxDepthPlugin } from "@escape.tech/graphql-armor-max-depth";
import express from "express";
import { createSchema, createYoga, type Plugin } from "graphql-yoga";
import { describe, expect, it, onTestFinished } from "vitest";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import type { SecurityEvent } from "../../event/event.ts";
import { type MemoryLog, memoryLog } from "../../testing/memory-log.ts";
import { securityCapture as expressCapture } from "../express/express.ts";
import { securityCapture as httpCapture } from "../node/http.ts";
import { apolloSecurityLog, checkAccess, type InnerCaptureOptions, useSecurityLog } from "./graphql.ts";

/** As the servers load it: Vitest would import another copy, whose errors and rules are not theirs. */
const { GraphQLError, NoSchemaIntrospectionCustomRule } = createRequire(import.meta.url)(
  "graphql",
) as typeof import("graphql");

const typeDefs = `
  type Query { me: String, orders: [Order!]!, broken: String, hidden: String, age(value: Int): Int, limited: String }
  type Order { id: ID!, customer: Customer! }
  type Customer { name: String!, orders: [Order!]! }
  type Mutation { transfer(amount: Int): Boolean, login(name: String): Boolean }
`;

const refuse = (code: string) => () => {
  throw new GraphQLError("no", { extensions: { code } });
};

function resolversFor(log: MemoryLog) {
  return {
    Query: {
      me: refuse("UNAUTHENTICATED"),
      orders: () => [],
      limited: refuse("RATE_LIMITED"),
      broken: () => {
        throw new RangeError("secret text");
      },
      hidden: () => {
        checkAccess(log, undefined, false, { resource: "orders/7" });
        throw new GraphQLError("no", { extensions: { code: "FORBIDDEN" } });
      },
      age: (_: unknown, { value }: { value: number }) => value,
    },
    Mutation: { transfer: refuse("FORBIDDEN"), login: refuse("UNAUTHENTICATED") },
  };
}

type Ask = (query: string, more?: { variables?: object; operationName?: string; user?: string }) => Promise<number>;

/** How a server is built, each with the capture that its users install below it. */
const SERVERS: { readonly [name: string]: (log: MemoryLog, options: InnerCaptureOptions) => Promise<number> } = {
  async "GraphQL Yoga"(log, options) {
    const rules: Plugin = {
      onValidate: ({ addValidationRule }) => addValidationRule(NoSchemaIntrospectionCustomRule),
    };
    const yoga = createYoga({
      schema: createSchema({ typeDefs, resolvers: resolversFor(log) }),
      logging: false,
      context: ({ request }) => ({ user: userOf(request.headers.get("x-user")) }),
      plugins: [rules, maxDepthPlugin({ n: 4 }) as Plugin, useSecurityLog(log, options)],
    });
    const server = createServer(httpCapture(log, (req, res) => void yoga(req, res)));
    onTestFinished(() => closeServer(server));
    return await listen(server);
  },
  async "Apollo Server 5"(log, options) {
    const server = new ApolloServer({
      typeDefs,
      resolvers: resolversFor(log),
      introspection: false,
      maxRecursiveSelections: 50,
      parseOptions: { maxTokens: 500 },
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      plugins: [apolloSecurityLog(log, options)],
    });
    await server.start();
    onTestFinished(() => server.stop());
    const app = express().set("env", "test");
    app.use(expressCapture(log), express.json());
    app.use(
      "/graphql",
      expressMiddleware(server, { context: async ({ req }) => ({ user: userOf(req.get("x-user")) }) }),
    );
    const http = createServer(app);
    onTestFinished(() => closeServer(http));
    return await listen(http);
  },
};

function userOf(name: string | null | undefined): { id: string } | undefined {
  if (name === "forged")
    throw new GraphQLError("no", { extensions: { code: "UNAUTHENTICATED", http: { status: 401 } } });
  return name === null || name === undefined ? undefined : { id: name };
}

function essence({ type, level, route, actorId, count, data, ipAddress }: SecurityEvent): readonly unknown[] {
  expect(ipAddress).toBe("127.0.0.1");
  const { reason, fields, operation } = data ?? {};
  return [type, level, route, actorId, count, reason, fields, operation].map((fact) => fact ?? "");
}

describe.each(Object.entries(SERVERS))("the errors of a GraphQL operation, with %s", (_, build) => {
  async function open(options: InnerCaptureOptions = {}) {
    const log = memoryLog();
    onTestFinished(() => log.close());
    const port = await build(log, options);
    const ask: Ask = async (query, { user, ...more } = {}) => {
      const headers = {
        "content-type": "application/json",
        accept: "application/json",
        ...(user !== undefined && { "x-user": user }),
      };
      const body = JSON.stringify({ query, ...more });
      return (await send(port, "POST", "/graphql", { headers, body })).status;
    };
    return { log, ask, port, events: async () => (await log.events()).map(essence) };
  }

  it("leave an event within a 200, with the operation as the route and the context's user as the actor", async () => {
    const { ask, events } = await open();
    expect(await ask("{ me }")).toBe(200);
    expect(await ask("mutation Pay { transfer(amount: 1) }", { user: "ada" })).toBe(200);
    expect(await ask("mutation { transfer(amount: 1) }")).toBe(200);
    await ask("{ limited }");
    expect(await events()).toEqual([
      ["unauthenticated_request", "warning", "query me", "", "", "UNAUTHENTICATED", "", ""],
      ["authz_fail", "critical", "mutation transfer", "ada", "", "FORBIDDEN", "", "Pay"],
      ["authz_fail", "warning", "mutation transfer", "", "", "FORBIDDEN", "", ""],
      ["excess_rate_limit_exceeded", "warning", "query limited", "", "", "RATE_LIMITED", "", ""],
    ]);
  });

  it("are one event with a count for a hundred logins in one document", async () => {
    const { ask, events } = await open();
    const logins = Array.from({ length: 30 }, (_, n) => `a${n}: login(name: "x")`);
    await ask(`mutation { ${logins.join(" ")} }`);
    expect(await events()).toEqual([
      ["unauthenticated_request", "warning", "mutation login", "", 30, "UNAUTHENTICATED", "", ""],
    ]);
  });

  it("tell refused introspection, documents beyond a limit, and those that do not fit the schema apart", async () => {
    const { ask, events } = await open();
    await ask("{ __schema { types { name } } }");
    const deep = "orders { customer { orders { customer { orders { customer { name } } } } } }";
    await ask(`{ ${deep} ${"me ".repeat(60)} }`);
    await ask("{ passwords }");
    await ask("{ me ");
    await ask("query ($v: Int) { age(value: $v) }", { variables: { v: "planted-value" } });
    const seen = await events();
    expect(seen).toEqual([
      ["malicious_direct_reference", "warning", "", "", expect.anything(), "introspection", "", ""],
      ["input_validation_fail", "warning", "", "", "", "limit", "", ""],
      ["input_validation_fail", "warning", "", "", "", "GRAPHQL_VALIDATION_FAILED", "", ""],
      ["input_validation_fail", "warning", "", "", "", "GRAPHQL_PARSE_FAILED", "", ""],
      ["input_validation_fail", "warning", "query age", "", "", "BAD_USER_INPUT", ["v"], ""],
    ]);
    expect(JSON.stringify(seen)).not.toContain("planted-value");
  });

  it("that are mistakes of the application are named, whatever the client is answered", async () => {
    const { ask, events } = await open();
    await ask("{ broken }");
    expect(await events()).toEqual([["sys_error", "error", "query broken", "", "", "RangeError", "", ""]]);
  });

  it("are left to an event of the application, and to the options", async () => {
    const { ask, log } = await open({ detect: { unauthenticated: false }, actor: () => "named" });
    await ask("{ hidden }");
    await ask("{ me }");
    await ask("mutation { transfer }");
    expect((await log.events()).map(({ actorId, data }) => [actorId, data?.["resource"]])).toEqual([
      [undefined, "orders/7"],
      ["named", undefined],
    ]);
  });

  it("leave one event when the context refuses the request with 401", async () => {
    const { ask, log } = await open();
    await ask("{ me }", { user: "forged" });
    expect((await log.events()).map(({ type }) => type)).toEqual(["unauthenticated_request"]);
  });

  it("leave nothing where nothing is refused", async () => {
    const { ask, events } = await open();
    expect(await ask("{ orders { id } }")).toBe(200);
    expect(await events()).toEqual([]);
  });
});

it("useSecurityLog() - records with what Envelop has where no capture sees the request", async () => {
  await using log = memoryLog();
  const yoga = createYoga({
    schema: createSchema({ typeDefs, resolvers: resolversFor(log) }),
    logging: false,
    plugins: [useSecurityLog(log)],
  });
  await yoga.fetch("http://shop.example/graphql?query=%7Bme%7D");
  expect(await log.events()).toMatchObject([{ type: "unauthenticated_request", path: "/graphql", method: "GET" }]);
});

it("apolloSecurityLog() - records a request that Apollo takes for CSRF", async () => {
  await using log = memoryLog();
  const port = await (SERVERS["Apollo Server 5"] as (log: MemoryLog, options: object) => Promise<number>)(log, {});
  expect((await send(port, "GET", "/graphql?query=%7Bme%7D")).status).toBe(400);
  expect(await log.events()).toMatchObject([{ type: "malicious_csrf", level: "warning", ipAddress: "127.0.0.1" }]);
});
