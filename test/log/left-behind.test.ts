/** What a log leaves in its spool: which process ships it, and when. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import type { SecurityEventHandler } from "seclog";
import { drainSpool } from "seclog/spool";
import { describe, expect, it } from "vitest";
import {
  control,
  delivered,
  HANDLER_MODULE,
  open,
  out,
  poll,
  spool,
  temporaryScript,
  threadHandler,
} from "../support/log-on-disk.ts";
import { sourcesIn } from "../support/sources.ts";

describe("a spool left behind", () => {
  it("by a killed process is shipped by the next one, completely and once", async () => {
    using file = temporaryScript(
      `import { createSecurityLog } from "seclog";
       const log = createSecurityLog({ spool: { directory: ${JSON.stringify(spool)} }, handlers: [{ name: "test", handle: () => new Promise(() => {}), close: async () => {} }] });
       for (let n = 0; n < 300; n++) log.recordSecurityEvent("authz_fail", null, { n });
       await log.recordSecurityEvent("authz_fail", null, { n: 300 }).durable;
       console.log(log.sourceId);
       setInterval(() => {}, 1000);`,
    );
    const child = spawn(process.execPath, [file.path], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const orphan = line.toString().trim();
    child.kill("SIGKILL");
    await once(child, "exit");
    await using log = open();
    await poll(() => delivered().filter(({ sourceId }) => sourceId === orphan).length).toBe(302);
    await poll(() => sourcesIn(spool)).toEqual([log.sourceId]);
    expect(new Set(delivered().map(({ sourceId, seq }) => `${sourceId} ${seq}`)).size).toBe(delivered().length);
  });

  it("by close() at its deadline is drained by drainSpool(), which leaves running processes alone", async () => {
    writeFileSync(control, "stuck");
    const log = open();
    for (let n = 0; n < 20; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.close({ deadline: 100 });
    expect(sourcesIn(spool)).toEqual([log.sourceId]);
    rmSync(control);
    const { createHandler } = (await import(HANDLER_MODULE)) as {
      createHandler: (options: object) => SecurityEventHandler;
    };
    await using living = open({
      handlers: [{ name: "other", handle: () => new Promise(() => {}), close: () => Promise.resolve() }],
    });
    // `living` may adopt it first, with a handler that never settles.
    const result = await drainSpool({
      directory: spool,
      handlers: [createHandler({ out, control })],
      signal: AbortSignal.timeout(3_000),
    });
    expect(result.owned).toBeGreaterThanOrEqual(1);
    expect(sourcesIn(spool)).toContain(living.sourceId);
  });

  it("is drained by drainSpool() when no process runs", async () => {
    writeFileSync(control, "stuck");
    const log = open();
    for (let n = 0; n < 20; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.close({ deadline: 100 });
    rmSync(control);
    const { createHandler } = (await import(HANDLER_MODULE)) as {
      createHandler: (options: object) => SecurityEventHandler;
    };
    const result = await drainSpool({ directory: spool, handlers: [createHandler({ out, control })] });
    expect(result).toEqual({ sources: 1, finished: 1, owned: 0, shipped: 22, quarantined: 0, waiting: [] });
    expect(delivered()).toHaveLength(22);
    expect(sourcesIn(spool)).toEqual([]);
  });

  it("is kept by drainSpool() for a handler that it does not call, and the application ships it", async () => {
    const stuck = { name: "other", handle: () => new Promise<void>(() => {}), close: () => Promise.resolve() };
    const log = open({ handlers: [threadHandler(), stuck] });
    for (let n = 0; n < 20; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.close({ deadline: 100 });
    const { createHandler } = (await import(HANDLER_MODULE)) as {
      createHandler: (options: object) => SecurityEventHandler;
    };
    const drained = await drainSpool({ directory: spool, handlers: [createHandler({ out, control })] });
    expect(drained).toMatchObject({ finished: 1, waiting: ["other"] });
    expect(sourcesIn(spool)).toEqual([log.sourceId]);
    const got: number[] = [];
    const other: SecurityEventHandler = {
      ...stuck,
      handle: ({ events, source }) => {
        if (source.id === log.sourceId) got.push(...events.map(({ seq }) => seq));
        return Promise.resolve();
      },
    };
    await using next = open({ handlers: [threadHandler(), other] });
    await poll(() => got.length).toBe(22);
    await poll(() => sourcesIn(spool)).toEqual([next.sourceId]);
  });

  it("does not occur when two logs share a folder: each has its own source", async () => {
    const [one, two] = [open(), open()];
    for (let n = 0; n < 100; n++) {
      one.recordSecurityEvent("authz_fail", null, { n });
      two.recordSecurityEvent("authz_fail", null, { n });
    }
    await Promise.all([one.close(), two.close()]);
    expect(new Set(delivered().map(({ sourceId, seq }) => `${sourceId} ${seq}`)).size).toBe(204);
    expect(sourcesIn(spool)).toEqual([]);
  });
});
