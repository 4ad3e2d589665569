/** The routes of an application, as its frameworks register them. */
import { as, calleeOf, isNode, literalOf, type Node, nameOf, nodesIn, propertyOf, walk } from "./syntax.ts";

/** A route in the source. */
export interface SourceRoute {
  readonly node: Node;
  /** `POST /orders/:id`. */
  readonly what: string;
  /** The code that answers, as far as the file has it. */
  readonly handlers: readonly Node[];
  /** Whether its method is one that changes something. */
  readonly changes: boolean;
}

const CHANGING = new Set(["POST", "PUT", "PATCH", "DELETE"]);
/** The functions with which Express, Fastify, Koa and Hono register a route. */
const METHODS = new Set(["get", "head", "post", "put", "patch", "delete", "del", "options", "all"]);
/** NestJS's decorators. */
const DECORATORS = new Set(["Get", "Head", "Post", "Put", "Patch", "Delete", "Options", "All"]);
/** The files that Next.js takes for routes, by its folders. */
const NEXT_ROUTE = /(?:^|\/)app\/((?:.*\/)?)route\.[cm]?[jt]sx?$/;

/** The routes of a file. @param file its path from the application's folder */
export function routesIn(program: Node, file: string): readonly SourceRoute[] {
  const routes: SourceRoute[] = [];
  const named = functionsOf(program);
  const add = (node: Node, method: string, path: string, handlers: readonly Node[]): void => {
    const verb = method.toUpperCase() === "DEL" ? "DELETE" : method.toUpperCase();
    const known = handlers.map((handler) => named.get(nameOf(handler) ?? "") ?? handler);
    routes.push({ node, what: `${verb} ${path}`, handlers: known, changes: verb === "ALL" || CHANGING.has(verb) });
  };
  walk(program, (node) => {
    if (node.type === "CallExpression") addCall(node, add);
    if (node.type === "ClassDeclaration" || node.type === "ClassExpression") addController(node, add);
  });
  const [, folder] = NEXT_ROUTE.exec(file) ?? [];
  if (folder !== undefined) {
    for (const [name, handler] of exportsOf(program)) {
      if (/^[A-Z]+$/.test(name)) add(handler, name, `/${folder.replace(/\/$/, "")}`, [handler]);
    }
  }
  return routes;
}

type Add = (node: Node, method: string, path: string, handlers: readonly Node[]) => void;

function addCall(call: Node, add: Add): void {
  const { name = "", object } = calleeOf(call);
  const values = nodesIn(call["arguments"]);
  if (object === undefined) return;
  if (name === "route" && values[0]?.type === "ObjectExpression") {
    // Fastify's route({ method, url, handler }).
    const method = propertyOf(values[0], "method");
    const url = literalOf(propertyOf(values[0], "url"));
    const handler = propertyOf(values[0], "handler");
    if (typeof url !== "string") return;
    const methods = isNode(method) && method.type === "ArrayExpression" ? nodesIn(method["elements"]) : [method];
    for (const one of methods)
      add(call, String(literalOf(one) ?? "ALL"), url, isNode(handler) ? [handler] : [values[0]]);
    return;
  }
  if (!METHODS.has(name)) return;
  // Express's route("/cart").get(handler).post(handler).
  const chained = routeOf(object);
  if (chained !== undefined) {
    if (values.length > 0) add(call, name, chained, values);
    return;
  }
  const path = literalOf(values[0]);
  // A client of HTTP has no handler behind the path.
  if (typeof path !== "string" || !/^[/*]/.test(path) || values.length < 2) return;
  if (!values.slice(1).some(mayHandle)) return;
  add(call, name, path, values.slice(1));
}

/** The path of `route("/cart")` at the beginning of a chain. */
function routeOf(object: Node): string | undefined {
  const call = as("CallExpression", object);
  if (call === undefined) return undefined;
  const { name, object: before } = calleeOf(call);
  const path = literalOf(nodesIn(call["arguments"])[0]);
  if (name === "route" && typeof path === "string") return path;
  return before === undefined || !METHODS.has(name ?? "") ? undefined : routeOf(before);
}

const HANDLERS = new Set([
  "FunctionExpression",
  "ArrowFunctionExpression",
  "Identifier",
  "MemberExpression",
  "CallExpression",
  "ArrayExpression",
]);

function mayHandle({ type }: Node): boolean {
  return HANDLERS.has(type);
}

function addController(declared: Node, add: Add): void {
  const prefix = decorated(declared, "Controller");
  if (prefix === undefined) return;
  for (const method of nodesIn((declared["body"] as Node)["body"])) {
    for (const name of DECORATORS) {
      const path = decorated(method, name);
      if (path === undefined) continue;
      const parts = [prefix, path].map((part) => part.replaceAll(/^\/+|\/+$/g, "")).filter((part) => part !== "");
      add(method, name, `/${parts.join("/")}`, [method]);
    }
  }
}

/** The path that a decorator is given, `""` for none; `undefined` without the decorator. */
function decorated(node: Node, name: string): string | undefined {
  for (const decorator of nodesIn(node["decorators"])) {
    const call = as("CallExpression", decorator["expression"]);
    if (call === undefined || calleeOf(call).name !== name) continue;
    const [value] = nodesIn(call["arguments"]);
    const path = literalOf(value) ?? literalOf(propertyOf(value, "path"));
    return typeof path === "string" ? path : "";
  }
  return undefined;
}

/** A file's own functions, by their names. */
function functionsOf(program: Node): ReadonlyMap<string, Node> {
  const found = new Map<string, Node>();
  walk(program, (node) => {
    const name = nameOf(node["id"]);
    if (name === undefined) return;
    if (node.type === "FunctionDeclaration") found.set(name, node);
    const init = node.type === "VariableDeclarator" ? node["init"] : undefined;
    if (isNode(init) && /Function|CallExpression/.test(init.type)) found.set(name, init);
  });
  return found;
}

/** What a module exports, by name. */
function exportsOf(program: Node): readonly (readonly [name: string, value: Node])[] {
  const found: (readonly [string, Node])[] = [];
  for (const statement of nodesIn(program["body"])) {
    const declaration = statement.type === "ExportNamedDeclaration" ? statement["declaration"] : undefined;
    if (!isNode(declaration)) continue;
    const name = nameOf(declaration["id"]);
    if (name !== undefined) found.push([name, declaration]);
    for (const { id, init } of nodesIn(declaration["declarations"])) {
      const declared = nameOf(id);
      if (declared !== undefined && isNode(init)) found.push([declared, init]);
    }
  }
  return found;
}
