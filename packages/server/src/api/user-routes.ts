/** The paths of a server that keeps users: their sign-in, the users, and their views. */
import type { IncomingMessage } from "node:http";
import type { SessionResult, UsersResult, ViewRecord } from "@seclog/api";
import type { Hono, Context as HonoContext } from "hono";
import type { ConsoleUsers, ViewRow } from "../users/console-users.ts";
import type { RecordUserEvent } from "../users/user-events.ts";
import { rightsOf } from "./access.ts";
import type { Environment } from "./environment.ts";
import { failed } from "./failures.ts";
import { readJson, textOf } from "./json-body.ts";
import { only } from "./only.ts";
import { BUILT_IN } from "./routes.ts";
import type { Visitor } from "./visitor.ts";

/** Who is signed in by which cookie, or why not. */
export type SignInResult = { readonly user: Visitor; readonly cookie: string } | Response;

/** What the paths need. */
export interface UserRoutesOptions {
  readonly users: ConsoleUsers;
  readonly record: RecordUserEvent;
  readonly signIn: (request: Request, incoming: IncomingMessage | null) => Promise<SignInResult>;
  readonly setUp: (request: Request, incoming: IncomingMessage | null) => Promise<SignInResult>;
}

/** Adds the paths to the API. */
export function addUserRoutes(app: Hono<Environment>, { users, record, signIn, setUp }: UserRoutesOptions): void {
  const begun = (result: SignInResult): Response => {
    if (result instanceof Response) return result;
    const { user, cookie } = result;
    const session: SessionResult = {
      user,
      setup: false,
      sign_in: "password",
      oidc: null,
      log: null,
      may: rightsOf(user.role),
    };
    return new Response(JSON.stringify(session), {
      status: 200,
      headers: { "content-type": "application/json", "set-cookie": cookie },
    });
  };
  app.post("/api/v1/session", async (c) => begun(await signIn(c.req.raw, c.env.incoming ?? null)));
  app.post("/api/v1/setup", async (c) => begun(await setUp(c.req.raw, c.env.incoming ?? null)));

  app.get("/api/v1/users", only("users"), async (c) => c.json({ users: await users.list() } satisfies UsersResult));
  app.post("/api/v1/users", only("users"), async (c) => {
    const given = await readJson(c.req.raw);
    if (given instanceof Response) return given;
    const [name, role, password] = ["name", "role", "password"].map((member) => textOf(given[member], 2_000));
    if (name === undefined || role === undefined || password === undefined)
      return failed(400, "BODY", "send { name, role, password }, all as text");
    await users.add({ name, role: role as Visitor["role"] }, password);
    record("user_created", c.env.incoming ?? null, { actor: who(c).name, target: name, role });
    return c.json({ name, role }, 201);
  });
  app.patch("/api/v1/users/:name", only("users"), async (c) => {
    const given = await readJson(c.req.raw);
    if (given instanceof Response) return given;
    const [role, password] = ["role", "password"].map((member) => textOf(given[member], 2_000));
    const name = named(c);
    if (role === undefined && password === undefined)
      return failed(400, "BODY", "send { role } or { password }, as text");
    const about = { actor: who(c).name, target: name };
    if (role !== undefined) {
      await users.setRole(name, role as Visitor["role"]);
      record("user_updated", c.env.incoming ?? null, { ...about, role });
    }
    if (password !== undefined) {
      await users.setPassword(name, password);
      record("authn_password_change", c.env.incoming ?? null, about);
    }
    return new Response(null, { status: 204 });
  });
  app.delete("/api/v1/users/:name", only("users"), async (c) => {
    const name = named(c);
    await users.remove(name);
    record("user_deleted", c.env.incoming ?? null, { actor: who(c).name, target: name });
    return new Response(null, { status: 204 });
  });

  app.get("/api/v1/views", async (c) =>
    c.json({ views: [...BUILT_IN, ...(await users.views()).map((view) => ({ ...view, built_in: false }))] }),
  );
  app.post("/api/v1/views", only("views"), async (c) => {
    const given = await readJson(c.req.raw);
    if (given instanceof Response) return given;
    const [name, query, since, columns] = ["name", "query", "since", "columns"].map((member) =>
      textOf(given[member], 4_000),
    );
    if (name === undefined || query === undefined) return failed(400, "BODY", "send { name, query }, both as text");
    const view: ViewRow = await users.addView({
      name,
      query,
      since: since ?? null,
      columns: columns ?? null,
      owner: who(c).name,
    });
    return c.json({ ...view, built_in: false } satisfies ViewRecord, 201);
  });
  app.delete("/api/v1/views/:id", only("views"), async (c) => {
    const { name, role } = who(c);
    const isRemoved = await users.removeView(c.req.param("id") ?? "", role === "admin" ? undefined : name);
    return isRemoved
      ? new Response(null, { status: 204 })
      : failed(404, "NOT_FOUND", "this view does not exist, or belongs to another user");
  });
}

/** The user in the path. */
function named(c: HonoContext<Environment>): string {
  return c.req.param("name") ?? "";
}

/** The visitor of a path that only those with a right reach. */
function who(c: HonoContext<Environment>): Visitor {
  const visitor = c.get("visitor");
  if (visitor === undefined) throw new Error("a path for users only was reached by a stranger");
  return visitor;
}
