/** The files of deploy/: their commands, options, variables, ports, paths and metrics exist, and other tools accept them. */
import { execFile, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, parseDocument } from "yaml";
import { RedisEngine } from "#faults/engines/redis.js";
import { startCollector } from "../packages/server/src/ingest/receivers/collector.ts";
import { root } from "../scripts/files.js";
import { runHere } from "./support/here.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { eventually, startProgram } from "./support/program.ts";

const folder = join(root, "deploy");
const read = (path: string): string => readFileSync(join(folder, path), "utf8");
const units = readdirSync(join(folder, "systemd")).filter((name) => name.endsWith(".service"));
const containerfile = read("Containerfile").replaceAll("\\\n", " ");

/** Whether a program is there; what is skipped is printed. */
function has(program: string, what: string): boolean {
  const found = spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;
  if (!found) console.warn(`SKIPPED: ${what}: ${program} is not installed`);
  return found;
}

/** A service of the compose file, as far as it is looked at here. */
interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly build?: { readonly dockerfile: string; readonly target: string };
  readonly environment?: { readonly [name: string]: string };
  readonly secrets?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
}
const compose = parse(read("compose/compose.yaml"), { merge: true }) as {
  readonly services: { readonly [name: string]: Service };
  readonly secrets: { readonly [name: string]: { readonly file: string } };
  readonly volumes: { readonly [name: string]: null };
};
const services = Object.entries(compose.services);

/** The stages of the Containerfile, with the command and the health check of each. */
const stages = new Map(
  [...containerfile.matchAll(/^FROM (\S+) AS (\w+)$(.*?)(?=^FROM )/gms)].map(([, from, name = "", body = ""]) => {
    const command = /^CMD (\[.*\])$/m.exec(body)?.[1] ?? "[]";
    return [name, { from, body, command: JSON.parse(command) as string[] }];
  }),
);

/** Every call of the program in the files, by where it stands. */
const calls: readonly (readonly [where: string, args: readonly string[]])[] = [
  ...[...stages].flatMap(([name, { command }]) => (command.length > 0 ? [[`stage ${name}`, command] as const] : [])),
  ...services.flatMap(([name, { build, command }]) =>
    build !== undefined && command !== undefined ? [[`service ${name}`, command] as const] : [],
  ),
  ...units.map((name) => {
    const [, line = ""] = /^ExecStart=\/usr\/local\/bin\/seclog (.*)$/m.exec(read(`systemd/${name}`)) ?? [];
    return [name, line.split(" ")] as const;
  }),
];

/** The variables that the program's help names, each also with `_FILE`. */
async function knownVariables(): Promise<readonly string[]> {
  const { stdout } = await runHere(["--help"], {});
  const names = ["SECLOG_COLLECT_SPOOL", ...[...stdout.matchAll(/\bSECLOG_[A-Z_]+\b/g)].map(([name]) => name)];
  return [...names, ...names.map((name) => `${name}_FILE`)];
}

describe("the files of deploy/", () => {
  it.each(calls)("call commands and options that exist: %s", async (_where, [command = "", ...args]) => {
    const { code, stdout } = await runHere(command === "--help" ? [command] : [command, "--help"], {});
    expect(code).toBe(0);
    expect(stdout).toContain(command === "--help" ? "Usage: seclog" : `Usage: seclog ${command}`);
    for (const option of args.filter((arg) => arg.startsWith("--"))) expect(stdout).toContain(`  ${option} `);
  });

  it("set variables that exist", async () => {
    const known = await knownVariables();
    const used = [containerfile, read("compose/compose.yaml"), ...units.map((name) => read(`systemd/${name}`))].flatMap(
      (text) => [...text.matchAll(/\bSECLOG_[A-Z_]+\b/g)].map(([name]) => name),
    );
    expect(used.length).toBeGreaterThan(20);
    expect(used.filter((name) => !known.includes(name))).toEqual([]);
  });

  it("agree on ports: what a stage listens on is exposed, checked and published on loopback", () => {
    for (const [name, { body, command }] of stages) {
      const listen = /--listen,([\d.]+):(\d+)/.exec(command.join(","));
      if (listen === null) continue;
      const [, host, port = ""] = listen;
      expect(body, name).toContain(`"http://127.0.0.1:${port}/`);
      expect(/^EXPOSE (\d+)$/m.exec(body)?.[1], name).toBe(host === "0.0.0.0" ? port : undefined);
      const scraped = /127.0.0.1:(\d+)"\] \}\]/g;
      if (name !== "start") {
        const targets = [...read("prometheus/prometheus.yml").matchAll(scraped)].map(([, target]) => target);
        expect(targets).toContain(port);
      }
      expect(read(`systemd/seclog-${name}.service`)).toContain(`--listen 127.0.0.1:${port}`);
    }
    for (const [name, { ports = [] }] of services) {
      for (const port of ports) expect(port, name).toMatch(/^127\.0\.0\.1:(\d+):\1$/);
    }
    expect(compose.services["collect"]?.ports).toEqual(["127.0.0.1:7390:7390"]);
  });
});

describe("deploy/Containerfile", () => {
  it("copies files that exist, and runs as a user who owns nothing but the state", () => {
    for (const [, path = ""] of containerfile.matchAll(/\bcp (deploy\/\S+) /g)) {
      expect(existsSync(join(root, path)), path).toBe(true);
    }
    expect([...stages.keys()]).toEqual(["build", "seclog", "collect", "work", "seal", "start"]);
    expect(stages.get("seclog")?.body).toMatch(/^USER 10001:10001$/m);
    expect(stages.get("seclog")?.body).toContain("--chown=root:root");
    expect(stages.get("seclog")?.body).toMatch(/^ENTRYPOINT \["node", ".*\/bin\/seclog\.js"\]$/m);
    // A later stage as root would undo it.
    expect(containerfile.match(/^USER .*$/gm)).toHaveLength(1);
  });

  it("has the client of every queue that seclog work reads", () => {
    const { dependencies } = JSON.parse(read("image/package.json")) as { dependencies: object };
    const { peerDependencies } = JSON.parse(readFileSync(join(root, "packages/server/package.json"), "utf8")) as {
      peerDependencies: object;
    };
    expect(Object.keys(dependencies)).toEqual(
      expect.arrayContaining([...Object.keys(peerDependencies), "amqplib", "bullmq", "ioredis", "kafkajs"]),
    );
  });
});

describe("deploy/compose/compose.yaml", () => {
  let secrets: string;
  beforeAll(() => {
    secrets = mkdtempSync(join(tmpdir(), "seclog-secrets-"));
  });
  afterAll(() => rmSync(secrets, { recursive: true, force: true }));

  const makeSecrets = (to: string, name = "example.com/log") =>
    promisify(execFile)("sh", [join(folder, "compose/make-secrets.sh"), name, to], {
      env: { PATH: process.env["PATH"], SECLOG: `${process.execPath} ${join(root, "packages/server/bin/seclog.js")}` },
    });

  it("parses without a warning, and hardens each service", () => {
    const document = parseDocument(read("compose/compose.yaml"), { merge: true });
    expect([...document.errors, ...document.warnings]).toEqual([]);
    for (const [name, service] of services) {
      expect(service.read_only, name).toBe(true);
      expect(service.cap_drop, name).toEqual(["ALL"]);
      expect(service.security_opt, name).toEqual(["no-new-privileges:true"]);
      if (service.build === undefined) expect(service.image, name).toMatch(/:\d+$/);
      else expect([...stages.keys()], name).toContain(service.build.target);
      for (const volume of service.volumes ?? []) {
        expect(Object.keys(compose.volumes), name).toContain(volume.split(":")[0]);
      }
    }
  });

  it("has no secret in it: each is a file that make-secrets.sh makes, and a service has those that it reads", async () => {
    const { stdout } = await makeSecrets(secrets);
    expect(stdout).toMatch(/^example\.com\/log\+/);
    const made = readdirSync(secrets).sort();
    expect(Object.keys(compose.secrets).sort()).toEqual(made);
    expect(Object.values(compose.secrets).map(({ file }) => file.replace("secrets/", ""))).toEqual(
      Object.keys(compose.secrets),
    );
    for (const [name, { environment = {}, secrets: given = [], command = [] }] of services) {
      const named = [...Object.values(environment), ...command].flatMap(
        (value) => /^\/run\/secrets\/(.+)$/.exec(value)?.[1] ?? [],
      );
      expect(named.sort(), name).toEqual([...given].sort());
    }
    expect(statSync(secrets).mode & 0o777).toBe(0o700);
    const values = made.map((name) => readFileSync(join(secrets, name), "utf8"));
    expect(new Set(values).size).toBe(made.length);
  });

  it("keeps the secrets that are there", async () => {
    const before = readFileSync(join(secrets, "writer-url"), "utf8");
    await expect(makeSecrets(secrets)).rejects.toMatchObject({
      stderr: expect.stringContaining("overwritten") as string,
    });
    expect(readFileSync(join(secrets, "writer-url"), "utf8")).toBe(before);
  });
});

const hasAnalyze = has("systemd-analyze", "deploy/systemd/ is not verified");

describe("deploy/systemd", () => {
  it.each(units)("%s - reads each secret from a credential, and only those", (name) => {
    const text = read(`systemd/${name}`);
    const loaded = [...text.matchAll(/^LoadCredential=([\w-]+):\/etc\/seclog\/\1$/gm)].map(([, id]) => id);
    const used = [...text.matchAll(/_FILE=%d\/([\w-]+)/g)].map(([, id]) => id);
    expect(used).toEqual(loaded);
    expect(loaded.length).toBeGreaterThan(0);
    expect(text).not.toMatch(/^Environment=.*(?:URL|KEY|TOKEN)=/m);
  });

  it.skipIf(!hasAnalyze)("passes systemd-analyze verify, with an exposure of at most 2", async () => {
    const copies = mkdtempSync(join(tmpdir(), "seclog-units-"));
    try {
      const names = readdirSync(join(folder, "systemd")).filter((name) => /\.(service|timer)$/.test(name));
      for (const name of names) {
        // The program is wherever npm puts it; verify asks for a file.
        const text = read(`systemd/${name}`).replaceAll("/usr/local/bin/seclog", process.execPath);
        writeFileSync(join(copies, name), text);
      }
      const analyze = (...args: string[]) => promisify(execFile)("systemd-analyze", args, { cwd: copies });
      expect(await analyze("verify", "--man=no", ...names)).toEqual({ stdout: "", stderr: "" });
      for (const name of units) await analyze("security", "--offline=yes", "--threshold=20", "--no-pager", name);
    } finally {
      rmSync(copies, { recursive: true, force: true });
    }
  });
});

const hasPromtool = has("promtool", "deploy/prometheus/ is not checked");
const missingRedis = RedisEngine.needs();
if (missingRedis !== undefined) console.warn(`SKIPPED: the metrics of seclog work in deploy/: ${missingRedis}`);

describe("the alerts and the dashboard", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  /** The metrics that the files use, of one program. */
  function used(prefix: string): readonly string[] {
    const { panels } = JSON.parse(read("grafana/seclog.json")) as {
      panels: readonly { targets?: readonly { expr: string }[] }[];
    };
    const { groups } = parse(read("prometheus/alerts.yml")) as {
      groups: readonly { rules: readonly { expr: string }[] }[];
    };
    const expressions = [
      ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
      ...groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)),
      read("prometheus/alerts.test.yml"),
    ].join("\n");
    return [...new Set(expressions.match(/\bseclog_\w+/g))].filter((name) => name.startsWith(prefix));
  }

  /** The names in an exposition: of a histogram, those of its series. */
  function namesIn(exposition: string): readonly string[] {
    return [...exposition.matchAll(/^# TYPE (\w+) (\w+)$/gm)].flatMap(([, name = "", type]) =>
      type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    );
  }

  it("use no other program's metrics", () => {
    expect(used("seclog_").length).toBe(used("seclog_collect_").length + used("seclog_work_").length);
  });

  it("use metrics that seclog collect serves", async () => {
    const spool = mkdtempSync(join(tmpdir(), "seclog-deploy-"));
    mkdirSync(spool, { recursive: true });
    const collector = await startCollector({
      listen: { host: "127.0.0.1", port: 0 },
      spool,
      url: database.writerUrl,
      onTrouble: () => {},
    });
    try {
      const names = namesIn(await (await fetch(`${collector.url}/metrics`)).text());
      expect(used("seclog_collect_").length).toBeGreaterThan(4);
      expect(used("seclog_collect_").filter((name) => !names.includes(name))).toEqual([]);
    } finally {
      await collector.close();
      rmSync(spool, { recursive: true, force: true });
    }
  });

  it.skipIf(missingRedis !== undefined)(
    "use metrics that seclog work serves, with the login of make-secrets.sh",
    async () => {
      const secrets = mkdtempSync(join(tmpdir(), "seclog-secrets-"));
      const program = `${process.execPath} ${join(root, "packages/server/bin/seclog.js")}`;
      await promisify(execFile)("sh", [join(folder, "compose/make-secrets.sh"), "example.com/log", secrets], {
        env: { PATH: process.env["PATH"], SECLOG: program },
      });
      const engine = await RedisEngine.start();
      const [, user = "", rules = ""] =
        /^user (seclog) (.*)$/m.exec(readFileSync(join(secrets, "redis-acl"), "utf8")) ?? [];
      await engine.run("ACL", "SETUSER", user, ...rules.split(" "));
      const url = new URL(readFileSync(join(secrets, "queue-url"), "utf8").trim());
      url.host = new URL(engine.url).host;
      const env = { SECLOG_RELAY_URL: database.relayUrl, SECLOG_QUEUE_URL: url.href };
      const child = startProgram(database, ["work", "--plain", "--listen", "127.0.0.1:0"], env);
      try {
        let output = "";
        child.stdout?.on("data", (text) => {
          output += String(text);
        });
        await eventually(() => output.includes("\n"), "the worker listens");
        const get = async (path: string) => await fetch(`${output.trim()}${path}`);
        await expect.poll(async () => (await get("/readyz")).text(), { timeout: 20_000 }).toBe("ok\n");
        const names = namesIn(await (await get("/metrics")).text());
        expect(used("seclog_work_").length).toBeGreaterThan(6);
        expect(used("seclog_work_").filter((name) => !names.includes(name))).toEqual([]);
      } finally {
        child.kill("SIGTERM");
        await new Promise((resolve) => child.once("close", resolve));
        await engine.end();
        rmSync(secrets, { recursive: true, force: true });
      }
    },
  );

  it.skipIf(!hasPromtool)("are what promtool accepts, and the tests of the rules pass", async () => {
    const promtool = (...args: string[]) => promisify(execFile)("promtool", args, { cwd: join(folder, "prometheus") });
    await promtool("check", "rules", "alerts.yml");
    await promtool("check", "config", "--syntax-only", "prometheus.yml");
    expect((await promtool("test", "rules", "alerts.test.yml")).stdout).toContain("SUCCESS");
  });
});
