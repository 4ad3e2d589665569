/** The application in a folder: its framework, language and package manager, as its `package.json` has them. */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { suggestions } from "@seclog/api";
import { errorMessage, SeclogError } from "seclog";
import { InputError } from "../text/input-error.ts";
import { quoted } from "../text/words.ts";

/** The frameworks that Seclog knows, by the package that an application depends on: the more particular first. */
const PACKAGES = {
  nestjs: "@nestjs/core",
  next: "next",
  fastify: "fastify",
  hono: "hono",
  koa: "koa",
  express: "express",
} as const;

/** A framework that the starter has lines for; `node` is `node:http`, and everything that is built on it. */
export type Framework = keyof typeof PACKAGES | "node";

/** Every framework, as `--framework` names them. */
export const FRAMEWORKS: readonly Framework[] = [...(Object.keys(PACKAGES) as (keyof typeof PACKAGES)[]), "node"];

/** @throws InputError for a framework that is not one of {@link FRAMEWORKS} */
export function requireFramework(name: string): Framework {
  const known = FRAMEWORKS.find((framework) => framework === name);
  if (known !== undefined) return known;
  const [like] = suggestions(name, FRAMEWORKS, 1);
  const advice = like === undefined ? `use one of ${FRAMEWORKS.join(", ")}` : `did you mean ${like}?`;
  throw new InputError((named) => `${named("framework")} ${quoted(name)} is not known: ${advice}`);
}

/** What is known of an application. */
export interface Project {
  readonly directory: string;
  /** Its name, without a scope. */
  readonly name: string;
  readonly framework: Framework;
  readonly language: "ts" | "js";
  readonly modules: "esm" | "commonjs";
  /** Whether it depends on the library already. */
  readonly installed: boolean;
  readonly install: string;
}

/**
 * Reads an application's folder.
 *
 * @throws SeclogError `SECLOG_CONFIG` if the folder has no `package.json`, or one that cannot be read
 */
export function readProject(directory: string): Project {
  const path = join(directory, "package.json");
  let manifest: unknown;
  try {
    manifest = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const reason = existsSync(path)
      ? `cannot be read: ${errorMessage(error)}`
      : "is not there: name the application's folder, or create it with npm init";
    throw new SeclogError("SECLOG_CONFIG", `${quoted(path)} ${reason}`);
  }
  const { name, type, ...rest } = (manifest ?? {}) as { readonly [member: string]: unknown };
  const packages = new Set(["dependencies", "devDependencies"].flatMap((member) => Object.keys(Object(rest[member]))));
  const known = (Object.keys(PACKAGES) as (keyof typeof PACKAGES)[]).find((key) => packages.has(PACKAGES[key]));
  return {
    directory,
    name: serviceName(typeof name === "string" ? name : "", directory),
    framework: known ?? "node",
    language: packages.has("typescript") || existsSync(join(directory, "tsconfig.json")) ? "ts" : "js",
    modules: type === "module" ? "esm" : "commonjs",
    installed: packages.has("seclog"),
    install: installCommand(directory),
  };
}

/** A service's name from a package's, or from the folder. */
function serviceName(name: string, directory: string): string {
  const own = name.replace(/^@[^/]*\//, "") || basename(resolve(directory));
  return own.replaceAll(/[^\w.-]/g, "-").slice(0, 60) || "app";
}

const INSTALL: readonly (readonly [lockfile: string, command: string])[] = [
  ["pnpm-lock.yaml", "pnpm add seclog"],
  ["yarn.lock", "yarn add seclog"],
  ["bun.lock", "bun add seclog"],
  ["bun.lockb", "bun add seclog"],
];

function installCommand(directory: string): string {
  return INSTALL.find(([lockfile]) => existsSync(join(directory, lockfile)))?.[1] ?? "npm install seclog";
}
