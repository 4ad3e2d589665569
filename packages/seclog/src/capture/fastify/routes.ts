/**
 * The methods that a Fastify application has for a path. Fastify's router cannot be queried, so the routes are
 * collected as they are registered, and matched here by its router's rules (find-my-way 9): `:name`, `:name(pattern)`,
 * several parameters between two slashes, `:name?` at the end, `*` at the end, `::` for a colon.
 *
 * `app.register()` runs a plugin later than the lines that follow it, so the application's own routes may come before
 * the plugin; no hook reports them, and they are read from the output of `printRoutes()`.
 */
import { isRegExp } from "node:util/types";
import { catchesAll } from "../catch-all.ts";
import type { OtherMethods } from "../routes.ts";

/** What the `onRoute` hook receives. */
export interface FastifyRoute {
  readonly method: string | readonly string[];
  readonly url: string;
  readonly constraints?: { readonly [name: string]: unknown } | undefined;
}

/** The options of Fastify's router that change which paths match. */
export interface FastifyRouterOptions {
  readonly caseSensitive?: boolean | undefined;
  readonly ignoreTrailingSlash?: boolean | undefined;
  readonly ignoreDuplicateSlashes?: boolean | undefined;
  readonly useSemicolonDelimiter?: boolean | undefined;
}

interface KnownRoute {
  readonly methods: readonly string[];
  readonly url: string;
  readonly pattern: RoutePattern;
  /** `undefined` for any host. */
  readonly host: string | RegExp | undefined;
  /** Whether the route has constraints that cannot be evaluated from outside. */
  readonly constrained: boolean;
}

/** The routes of one application. */
export class FastifyRoutes {
  readonly #routes: KnownRoute[] = [];
  readonly #options: FastifyRouterOptions;

  constructor(options: FastifyRouterOptions) {
    this.#options = options;
  }

  add({ method, url, constraints = {} }: FastifyRoute): void {
    const methods = typeof method === "string" ? [method] : method;
    const { host, ...others } = constraints;
    for (const one of withAndWithoutOptional(url)) {
      const pattern = routePattern(one, this.#options);
      if (pattern === undefined || catchesAll((path) => matches(pattern, path))) continue;
      this.#routes.push({
        methods,
        url,
        pattern,
        host: typeof host === "string" || isRegExp(host) ? host : undefined,
        constrained: Object.values(others).some((value) => value !== undefined),
      });
    }
  }

  /** Adds the wanted routes of a tree that `printRoutes()` has printed. */
  addPrinted(tree: string, wanted: (url: string) => boolean = () => true): void {
    for (const route of printedRoutes(tree)) if (wanted(route.url)) this.add(route);
  }

  /** Whether a route has this path, whatever its methods. */
  has(url: string): boolean {
    const path = this.#path(url);
    return this.#routes.some(({ pattern }) => matches(pattern, path));
  }

  /** See `RouteKnowledge.otherMethods`. */
  otherMethods(method: string, url: string, host: string | undefined): OtherMethods | undefined {
    // A browser's preflight, which asks for the methods.
    if (method === "OPTIONS") return undefined;
    const path = this.#path(url);
    const allowed = new Set<string>();
    let route: string | undefined;
    for (const known of this.#routes) {
      if (!matches(known.pattern, path) || !hostMatches(known.host, host)) continue;
      // A route that has the method was refused by a constraint, such as a version: the method is not the reason.
      if (known.methods.includes(method)) return undefined;
      if (known.constrained) continue;
      for (const name of known.methods) allowed.add(name);
      route ??= known.url;
    }
    // An `OPTIONS` route alone is a CORS preflight.
    if (allowed.size === 0 || (allowed.size === 1 && allowed.has("OPTIONS"))) return undefined;
    return { allowed: [...allowed], route };
  }

  #path(url: string): string {
    const end = url.search(this.#options.useSemicolonDelimiter ? /[?#;]/ : /[?#]/);
    let path = end === -1 ? url : url.slice(0, end);
    if (!path.startsWith("/") && URL.canParse(path)) path = new URL(path).pathname;
    try {
      path = decodeURI(path);
    } catch {
      // Fastify responds to such a path itself (FST_ERR_BAD_URL).
    }
    if (this.#options.ignoreDuplicateSlashes) path = path.replace(/\/{2,}/g, "/");
    if (this.#options.ignoreTrailingSlash) path = withoutLastSlash(path);
    return path;
  }
}

function withoutLastSlash(path: string): string {
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

function hostMatches(expected: string | RegExp | undefined, host: string | undefined): boolean {
  if (expected === undefined) return true;
  if (host === undefined) return false;
  // Not `test`, which keeps a position in a global or sticky pattern, and the pattern is the application's.
  return typeof expected === "string" ? expected === host : host.search(expected) !== -1;
}

/** A parameter at the end that may be missing, as the router sees it: not one with a pattern. */
const OPTIONAL = /(\/:[^/()]*?)\?(\/?)$/;

/** `/users/:id?` is `/users` and `/users/:id`, and `/:id?` is `/` and `/:id`. */
function withAndWithoutOptional(url: string): readonly string[] {
  if (!OPTIONAL.test(url)) return [url];
  return [url.replace(OPTIONAL, "$1$2"), url.replace(OPTIONAL, "$2") || "/"];
}

/** A route's URL, split at its slashes: a parameter ends there, even one whose pattern would continue. */
interface RoutePattern {
  readonly parts: readonly RegExp[];
  /** Whether the last part takes everything left. */
  readonly open: boolean;
}

/** `undefined` for a URL that cannot be read. */
function routePattern(url: string, options: FastifyRouterOptions): RoutePattern | undefined {
  let text = options.ignoreDuplicateSlashes ? url.replace(/\/{2,}/g, "/") : url;
  if (options.ignoreTrailingSlash) text = withoutLastSlash(text);
  const sources = [""];
  /** Within a part, from its first parameter on: the router matches that as one case-sensitive expression. */
  let parametric = false;
  let open = false;
  for (let at = 0; at < text.length; ) {
    const char = text[at] ?? "";
    let source = "";
    let end = at + 1;
    if (char === "/") {
      parametric = false;
      sources.push("");
    } else if (char === ":" && text[end] === ":") {
      source = ":";
      end += 1;
    } else if (char === ":") {
      const parameter = parameterAt(text, at);
      if (parameter === undefined) return undefined;
      parametric = true;
      ({ source, end } = parameter);
    } else if (char === "*" && !parametric) {
      open = true;
      source = "[^]*";
    } else {
      source = literally(char);
      if (options.caseSensitive === false && !parametric) {
        source = `(?:${literally(char.toLowerCase())}|${literally(char.toUpperCase())})`;
      }
    }
    sources[sources.length - 1] += source;
    at = end;
  }
  try {
    return { parts: sources.map((source) => new RegExp(`^${source}$`)), open };
  } catch {
    return undefined;
  }
}

function literally(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

function matches({ parts, open }: RoutePattern, path: string): boolean {
  const asked = path.split("/");
  if (asked.length < parts.length || (!open && asked.length > parts.length)) return false;
  const last = parts.length - 1;
  return parts.every((part, at) => part.test(at === last ? asked.slice(last).join("/") : (asked[at] ?? "")));
}

/** The parameter whose colon is at `start`: its name, and its pattern in brackets if it has one. */
function parameterAt(text: string, start: number): { readonly source: string; readonly end: number } | undefined {
  let end = start + 1;
  while (end < text.length && !/[/\-.(]/.test(text[end] ?? "")) end += 1;
  if (text[end] !== "(") return { source: "[^]*?", end };
  const close = closingBracket(text, end);
  if (close === undefined) return undefined;
  // The pattern's own ends are those of the parameter.
  const pattern = text
    .slice(end + 1, close)
    .replace(/^\^/, "")
    .replace(/\$$/, "");
  return { source: `(?:${pattern})`, end: close + 1 };
}

function closingBracket(text: string, open: number): number | undefined {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "(") depth += 1;
    else if (text[at] === ")" && --depth === 0) return at;
  }
  return undefined;
}

/** A branch of the tree: the columns before it, its arm, and its text. A line without an arm continues its branch. */
const BRANCH = /^((?:│ {3}| {4})*)([├└]── )?(.*)$/;

/** The content of a branch: its part of the URL, its methods and its constraints. */
const LEAF = /^(.*) \(([A-Z-]+(?:, [A-Z-]+)*)\)(?: (\{.*\}))?$/;

function printedRoutes(tree: string): FastifyRoute[] {
  const routes: FastifyRoute[] = [];
  const parts: string[] = [];
  for (const line of tree.split("\n")) {
    const [, columns = "", arm, text = ""] = BRANCH.exec(line) ?? [];
    const [, leaf, methods, constraints] = LEAF.exec(text) ?? [];
    const depth = columns.length / 4;
    if (arm !== undefined) {
      parts.length = depth;
      parts.push(urlPart(leaf ?? text));
    }
    if (methods === undefined) continue;
    routes.push({
      method: methods.split(", "),
      url: parts.join(""),
      constraints: constraints === undefined ? undefined : printedConstraints(constraints),
    });
  }
  return routes;
}

/**
 * A parameter has a branch of its own, `:id|:name` for two routes; any other colon is text. Text that begins a branch
 * with a colon cannot be distinguished from a parameter, so such a route is taken for a wider one.
 */
function urlPart(printed: string): string {
  if (printed === "(empty root node)") return "";
  if (!printed.startsWith(":")) return printed.replaceAll(":", "::");
  const end = /\|:/.exec(printed)?.index;
  return end === undefined ? printed : printed.slice(0, end);
}

function printedConstraints(printed: string): { readonly [name: string]: unknown } {
  try {
    const constraints = JSON.parse(printed) as { [name: string]: unknown };
    const [, source, flags] = /^\/(.*)\/([a-z]*)$/.exec(String(constraints["host"])) ?? [];
    return source === undefined ? constraints : { ...constraints, host: new RegExp(source, flags) };
  } catch {
    // Cannot be evaluated: treated as a constraint of the application's own.
    return { unreadable: true };
  }
}
