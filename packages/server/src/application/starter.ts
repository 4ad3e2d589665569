/** The first lines of an application that records security events: a file with its log, and what to add by hand. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { SeclogError } from "seclog";
import { quoted } from "../text/words.ts";
import type { Framework, Project } from "./project.ts";

/** What `seclog init` writes, and what it leaves to the user. */
export interface Starter {
  readonly framework: Framework;
  /** Paths from the application's folder, and texts. */
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** What to do by hand, in order. */
  readonly steps: readonly { readonly title: string; readonly code: string }[];
}

interface Lines {
  /** What to import, as names by module. */
  readonly imports: readonly (readonly [names: string, module: string])[];
  readonly code: string;
  readonly where: string;
}

const LINES: Readonly<Record<Exclude<Framework, "next">, Lines>> = {
  express: {
    imports: [["{ securityCapture }", "seclog/express"]],
    code: "app.use(securityCapture(security)); // before everything that may refuse",
    where: "where the application is created",
  },
  fastify: {
    imports: [["{ securityCapture }", "seclog/fastify"]],
    code: "await app.register(securityCapture, { log: security }); // before the routes",
    where: "where the application is created",
  },
  koa: {
    imports: [["{ securityCapture }", "seclog/koa"]],
    code: "app.use(securityCapture(security, { app })); // before everything that may refuse",
    where: "where the application is created",
  },
  hono: {
    imports: [
      ["{ securityCapture }", "seclog/hono"],
      ["{ watchServer }", "seclog/http"],
    ],
    code: "app.use(securityCapture(security, { app })); // before everything that may refuse\nwatchServer(security, serve(app)); // where it is served",
    where: "where the application is created",
  },
  nestjs: {
    imports: [["{ SeclogModule }", "seclog/nestjs"]],
    code: "imports: [SeclogModule.forRoot({ log: security })],",
    where: "in the root module",
  },
  node: {
    imports: [["{ securityCapture, watchServer }", "seclog/http"]],
    code: "const server = createServer(securityCapture(security, listener));\nwatchServer(security, server);",
    where: "where the server is created",
  },
};

/** The starter of an application. @param framework instead of the one that its dependencies name */
export function starterOf(project: Project, framework: Framework = project.framework): Starter {
  const folder = existsSync(join(project.directory, "src")) ? "src/" : "";
  const log = `${folder}${framework === "next" ? "security-log" : "security"}.${project.language}`;
  const files = [{ path: log, text: logSource(project, framework) }];
  const steps: { title: string; code: string }[] = [];
  if (!project.installed) steps.push({ title: "Install the library:", code: project.install });
  if (framework === "next") {
    const path = `${folder}instrumentation.${project.language}`;
    const text = instrumentation(project);
    // An application often has one, for its telemetry.
    if (existsSync(join(project.directory, path))) steps.push({ title: `Add these lines to ${path}:`, code: text });
    else files.push({ path, text });
    steps.push({
      title: "Wrap the configuration, in next.config:",
      code: `${importLine(project, "{ withSeclog }", "seclog/next", true)}\nexport default withSeclog({ /* as before */ });`,
    });
  } else {
    const { imports, code, where } = LINES[framework];
    const lines = [...imports, ["{ security }", ownModule(project)] as const];
    const imported = lines.map(([names, module]) => importLine(project, names, module)).join("\n");
    steps.push({ title: `Add these lines ${where}:`, code: `${imported}\n\n${code}` });
  }
  steps.push(
    {
      title: "See the first event: start the application, and send it a scanner's request.",
      code: "curl -i -A sqlmap http://localhost:3000/",
    },
    {
      title: "Behind a proxy, name it: in the framework's setting, or in the log's options.",
      code: 'clientIp: { trust: ["10.0.0.0/8"] },',
    },
    {
      title: "Keep the events: create the database, and set SECLOG_DATABASE_URL.",
      code: "npx @seclog/server setup --help",
    },
    { title: "Keep the spool out of version control:", code: "echo var/seclog/ >> .gitignore" },
  );
  return { framework, files, steps };
}

/**
 * Writes the starter's files. It replaces none.
 *
 * @throws SeclogError `SECLOG_CONFIG` if one of them is there already; then nothing is written
 */
export function writeStarter(project: Project, { files }: Starter): void {
  const there = files.find(({ path }) => existsSync(join(project.directory, path)));
  if (there !== undefined) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `${quoted(there.path)} is there already, and init replaces nothing: --print shows what it would write`,
    );
  }
  for (const { path, text } of files) {
    const file = join(project.directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { flag: "wx" });
  }
}

/** Whether imports are written with `require`: TypeScript's compiler makes them of `import`. */
function requires({ language, modules }: Project): boolean {
  return language === "js" && modules === "commonjs";
}

function importLine(project: Project, names: string, module: string, always = false): string {
  return requires(project) && !always ? `const ${names} = require("${module}");` : `import ${names} from "${module}";`;
}

/** How a file beside it imports the log. */
function ownModule(project: Project): string {
  return requires(project) ? "./security" : "./security.js";
}

function logSource(project: Project, framework: Framework): string {
  const required = requires(project) && framework !== "next";
  const importOf = (names: string, module: string): string => importLine(project, names, module, !required);
  const imports = [importOf("{ createSecurityLog }", "seclog")];
  if (framework === "next") imports.push(importOf("{ register }", "seclog/next"));
  imports.push(importOf("{ postgresHandler }", "seclog/postgres"));
  const made = `stored
  ? createSecurityLog({
      service: "${project.name}",
      spool: { directory: "./var/seclog" },
      handlers: [postgresHandler()],
    })
  : createSecurityLog({ service: "${project.name}" })`;
  const indented = made.replaceAll("\n", "\n  ");
  const value = framework === "next" ? `register(() =>\n  ${indented},\n)` : made;
  return `${imports.join("\n")}

// Without a database, events are printed and kept nowhere. In production the log refuses to open without one.
const stored = Boolean(process.env["SECLOG_DATABASE_URL"] ?? process.env["SECLOG_DATABASE_URL_FILE"]);

${required ? "const" : "export const"} security = ${value};
${required ? "\nmodule.exports = { security };\n" : ""}`;
}

function instrumentation({ language }: Project): string {
  const rest = language === "ts" ? '...error: Parameters<typeof import("seclog/next").onRequestError>' : "...error";
  return `export async function register() {
  if (process.env.NEXT_RUNTIME === "nodejs") await import("./security-log");
}

export async function onRequestError(${rest}) {
  if (process.env.NEXT_RUNTIME === "nodejs") (await import("seclog/next")).onRequestError(...error);
}
`;
}
