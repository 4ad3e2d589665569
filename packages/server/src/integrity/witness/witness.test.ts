import nodeFs, { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  consistencyProof,
  cosignatureTime,
  EMPTY_ROOT,
  formatCheckpoint,
  formatPrivateKey,
  leafHash,
  openNote,
  parseNote,
  parsePrivateKey,
  parseVkey,
  signNote,
  verifyConsistency,
} from "seclog/merkle";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Answer, send } from "#test/support/http-client.ts";
import { MemoryTree, type SealedCheckpoint, seed } from "#test/support/sealed-tree.ts";
import { type HttpService, startHttpService } from "../../http/service.ts";
import { originHash, type WitnessFs, WitnessState } from "./state.ts";
import { MOST_REQUEST_BYTES, Witness, type WitnessOptions } from "./witness.ts";

const log = parsePrivateKey(formatPrivateKey("log.example/shop", seed()));
const other = parsePrivateKey(formatPrivateKey("other.example", seed()));
const signer = parsePrivateKey(formatPrivateKey("w.example/1", seed(), "cosignature"), () => 1_679_315_147);
const tree = new MemoryTree(40);
const rewritten = new MemoryTree(3).grow(60, "rewritten");

let folder: string;
let state: string;
let count = 0;
let service: HttpService;
let inconsistent: string[];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-witness-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(async () => {
  state = join(folder, `state-${count++}`);
  nodeFs.mkdirSync(state);
  inconsistent = [];
  await start();
});
afterEach(() => service.close(0));

function witness(fs?: WitnessFs, more: Partial<WitnessOptions> = {}): Witness {
  return new Witness({
    signer,
    logs: [log],
    state: new WitnessState(state, fs),
    onInconsistent: (why, _note, proven) => inconsistent.push(proven ? `proof: ${why}` : why),
    ...more,
  });
}

async function start(): Promise<void> {
  const subject = witness();
  service = await startHttpService({
    listen: { host: "127.0.0.1", port: 0 },
    mostBytes: MOST_REQUEST_BYTES,
    respond: (request) => subject.respond(request),
    onError: (error) => {
      throw error;
    },
  });
}

const ask = async (method: string, path: string, body?: string, headers = {}): Promise<Answer> =>
  await send(Number(new URL(service.url).port), method, path, body === undefined ? { headers } : { headers, body });
const add = async (body: string): Promise<Answer> => await ask("POST", "/add-checkpoint", body);
const base64 = (hash: Uint8Array): string => `${Buffer.from(hash).toString("base64")}\n`;
const requestOf = async (from: MemoryTree, old: number, size: number, { note } = from.checkpoint(log, size)) => {
  const proof = old <= size ? await consistencyProof(old, size, from.first(size).tiles) : [];
  return `old ${old}\n${proof.map(base64).join("")}\n${note}`;
};

describe("Witness", () => {
  it("cosigns a consistent checkpoint, keeps it, and serves it to monitors", async () => {
    const path = `/${originHash(log.name)}/checkpoint`;
    expect(await ask("GET", path)).toMatchObject({ status: 404 });
    let last: SealedCheckpoint | undefined;
    for (const [old, size] of [
      [0, 0],
      [0, 1],
      [1, 1],
      [1, 7],
      [7, 8],
      [8, 40],
    ] as const) {
      last = tree.checkpoint(log, size);
      const response = await add(await requestOf(tree, old, size));
      expect(response.status, `${old} to ${size}: ${response.body}`).toBe(200);
      const opened = openNote(`${parseNote(last.note).text}\n${response.body}`, [signer]);
      expect(opened.signatures).toHaveLength(1);
      expect(cosignatureTime(opened.signatures[0] as never)).toBe(1_679_315_147);
      const shown = await ask("GET", path);
      expect(shown).toMatchObject({ status: 200, body: last.note + response.body });
      expect(shown.headers["content-type"]).toBe("text/plain; charset=utf-8");
      expect(openNote(shown.body, [log, signer]).verified).toHaveLength(2);
    }
    await service.close(0);
    await start();
    expect((await ask("GET", path)).body).toContain(last?.note);
    expect(await add(await requestOf(tree, 0, 40))).toMatchObject({ status: 409, body: "40\n" });
    expect(readdirSync(join(state, originHash(log.name)))).toEqual(["checkpoint.6"]);
    expect(inconsistent).toEqual([]);
  });

  it("parses the specification's example request, and verifies only its first signature", async () => {
    const example = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\u2014 example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
`;
    // A valid request, of a log that is not watched here.
    expect(await add(example)).toMatchObject({ status: 404 });
    // Watched under another key of the same name: no known key has signed it.
    const same = parsePrivateKey(formatPrivateKey("example.com/behind-the-sofa", seed()));
    const response = witness(undefined, { logs: [same] }).respond({
      method: "POST",
      path: "/add-checkpoint",
      body: Buffer.from(example),
    });
    expect(response).toMatchObject({ status: 403 });
  });

  /** Before each request, the witness has cosigned 7 leaves. */
  const hostile: readonly (readonly [string, number, () => string | Promise<string>])[] = [
    ["nothing", 400, () => ""],
    ["CRLF", 400, async () => (await requestOf(tree, 7, 8)).replaceAll("\n", "\r\n")],
    ["CRLF in the note only", 400, () => `old 7\n\n${tree.checkpoint(log, 8).note.replaceAll("\n", "\r\n")}`],
    ["a byte order mark", 400, async () => `\ufeff${await requestOf(tree, 7, 8)}`],
    ["no empty line", 400, async () => (await requestOf(tree, 7, 8)).replaceAll("\n\n", "\n")],
    ["no note", 400, () => "old 7\n\n"],
    ["no last newline", 400, async () => (await requestOf(tree, 7, 8)).slice(0, -1)],
    ["an old size with a leading zero", 400, async () => (await requestOf(tree, 7, 8)).replace("old 7", "old 07")],
    ["a negative old size", 400, async () => (await requestOf(tree, 7, 8)).replace("old 7", "old -7")],
    ["an old size with a plus", 400, async () => (await requestOf(tree, 7, 8)).replace("old 7", "old +7")],
    ["an old size in other digits", 400, async () => (await requestOf(tree, 7, 8)).replace("old 7", "old \u0667")],
    [
      "an old size no number can hold",
      400,
      async () => (await requestOf(tree, 7, 8)).replace("old 7", `old ${"9".repeat(17)}`),
    ],
    ["two spaces", 400, async () => (await requestOf(tree, 7, 8)).replace("old 7", "old  7")],
    ["Old", 400, async () => (await requestOf(tree, 7, 8)).replace("old 7", "Old 7")],
    ["64 proof lines", 400, () => `old 7\n${base64(leafHash("x")).repeat(64)}\n${tree.checkpoint(log, 8).note}`],
    [
      "63 invalid proof lines",
      422,
      () => `old 7\n${base64(leafHash("x")).repeat(63)}\n${tree.checkpoint(log, 8).note}`,
    ],
    ["a proof line that is not Base64", 400, () => `old 7\n${"!".repeat(44)}\n\n${tree.checkpoint(log, 8).note}`],
    [
      "a proof line without padding",
      400,
      () => `old 7\n${base64(leafHash("x")).replace("=", "")}\n${tree.checkpoint(log, 8).note}`,
    ],
    [
      "a proof line of 31 bytes",
      400,
      () => `old 7\n${base64(leafHash("x").subarray(1))}\n${tree.checkpoint(log, 8).note}`,
    ],
    [
      "a proof line of URL Base64",
      400,
      () => `old 7\n${base64(Buffer.alloc(32, 0xff)).replaceAll("/", "_")}\n${tree.checkpoint(log, 8).note}`,
    ],
    ["a checkpoint without a root", 400, () => `old 7\n\n${signNote(`${log.name}\n8\n`, [log])}`],
    [
      "a size with a leading zero",
      400,
      () => `old 7\n\n${signNote(`${log.name}\n08\n${base64(leafHash("x"))}`, [log])}`,
    ],
    [
      "101 signatures",
      400,
      () =>
        `old 7\n\n${tree.checkpoint(log, 8).note}${`${tree.checkpoint(other, 8).note.split("\n")[4]}\n`.repeat(100)}`,
    ],
    ["an origin that is not watched", 404, async () => await requestOf(tree, 7, 8, tree.checkpoint(other, 8))],
    [
      "an origin in another case",
      404,
      () =>
        `old 7\n\n${signNote(`${tree.checkpoint(log, 8).note.split("\n\n")[0]?.replace("shop", "Shop")}\n`, [log])}`,
    ],
    [
      "another log's signature",
      403,
      () => `old 7\n\n${signNote(parseNote(tree.checkpoint(log, 8).note).text, [other])}`,
    ],
    [
      "another key of the same name",
      403,
      () => `old 7\n\n${tree.checkpoint(parsePrivateKey(formatPrivateKey(log.name, seed())), 8).note}`,
    ],
    [
      "the witness's own signature alone",
      403,
      () => `old 7\n\n${signNote(parseNote(tree.checkpoint(log, 8).note).text, [signer])}`,
    ],
    [
      "a false signature beside the good one",
      403,
      async () => `${await requestOf(tree, 7, 8)}${tree.checkpoint(log, 9).note.split("\n")[4]}\n`,
    ],
    ["a signature over another size", 403, async () => (await requestOf(tree, 7, 8)).replace("\n8\n", "\n9\n")],
    ["a shrinking log", 400, async () => await requestOf(tree, 7, 6)],
    ["an old size above the checkpoint's, before anything is compared", 400, async () => await requestOf(tree, 9, 8)],
    ["an old size from before", 409, async () => await requestOf(tree, 1, 8)],
    ["an old size that was not reached", 409, async () => await requestOf(tree, 8, 9)],
    ["a restart from zero", 409, async () => await requestOf(tree, 0, 8)],
    ["a smaller tree with a valid proof", 409, async () => await requestOf(tree, 3, 5)],
    ["another root at the same size", 422, async () => await requestOf(rewritten, 7, 7)],
    ["the same size, with a proof", 422, () => `old 7\n${base64(leafHash("x"))}\n${tree.checkpoint(log, 7).note}`],
    ["no proof", 422, () => `old 7\n\n${tree.checkpoint(log, 8).note}`],
    [
      "another log's proof",
      422,
      async () => `${(await requestOf(rewritten, 7, 8)).split("\n\n")[0]}\n\n${tree.checkpoint(log, 8).note}`,
    ],
    ["a fork with its own proof", 422, async () => await requestOf(rewritten, 7, 12)],
    [
      "a proof with an extra hash",
      422,
      async () => (await requestOf(tree, 7, 12)).replace("\n\n", `\n${base64(leafHash("x"))}\n`),
    ],
    ["a proof without its last hash", 422, async () => (await requestOf(tree, 7, 12)).replace(/[^\n]+\n\n/, "\n")],
    ["more than 64 KiB", 413, async () => `${await requestOf(tree, 7, 8)}${"x".repeat(70_000)}`],
  ];

  it.each(hostile)("responds to %s with %d, and keeps its state", async (what, status, make) => {
    for (const [old, size] of [
      [0, 3],
      [3, 7],
    ] as const) {
      expect((await add(await requestOf(tree, old, size))).status).toBe(200);
    }
    const response = await add(await make());
    expect(response.status, response.body).toBe(status);
    expect(response.body).not.toContain("\u2014");
    if (status === 409) {
      expect(response.body).toBe("7\n");
      expect(response.headers["content-type"]).toBe("text/x.tlog.size");
    }
    expect(inconsistent).toHaveLength(status === 422 ? 1 : 0);
    // Any client can send a valid checkpoint with a wrong proof, which proves nothing against the log.
    expect(inconsistent.filter((why) => why.startsWith("proof:"))).toHaveLength(
      what === "another root at the same size" ? 1 : 0,
    );
    expect((await add(await requestOf(tree, 7, 8))).status).toBe(200);
  });

  it("responds with 422 to an empty tree with another root, and to a proof from the empty tree", async () => {
    const empty = (root: Uint8Array): string =>
      `old 0\n\n${signNote(formatCheckpoint({ origin: log.name, size: 0, root }), [log])}`;
    expect((await add(empty(leafHash("x")))).status).toBe(422);
    expect((await add(`old 0\n${base64(leafHash("x"))}\n${tree.checkpoint(log, 5).note}`)).status).toBe(422);
    expect((await add(empty(EMPTY_ROOT))).status).toBe(200);
  });

  it("ignores signatures of unknown keys, and serves none of them to monitors", async () => {
    const note = signNote(parseNote(tree.checkpoint(log, 5).note).text, [other, log, other]);
    expect((await add(`old 0\n\n${note}`)).status).toBe(200);
    const shown = await ask("GET", `/${originHash(log.name)}/checkpoint`);
    expect(parseNote(shown.body).signatures.map(({ name }) => name)).toEqual([log.name, signer.name]);
  });

  it("accepts one of many racing requests", async () => {
    expect((await add(await requestOf(tree, 0, 7))).status).toBe(200);
    const bodies = await Promise.all(
      Array.from(
        { length: 24 },
        async (_, i) => await requestOf(i % 2 ? tree : new MemoryTree(7).grow(9, `${i}`), 7, 9 + (i % 5)),
      ),
    );
    const responses = await Promise.all(bodies.map(add));
    const good = responses.map(({ status }, i) => ({ status, i })).filter(({ status }) => status === 200);
    expect(good).toHaveLength(1);
    const rest = new Set(responses.filter(({ status }) => status !== 200).map(({ status }) => status));
    expect([...rest].every((status) => status === 409)).toBe(true);
  });

  it.each([
    ["GET", "/add-checkpoint", 405],
    ["PUT", "/add-checkpoint", 405],
    ["POST", "/add-checkpoint/", 404],
    ["POST", "/add-checkpoint?x", 404],
    ["POST", "//add-checkpoint", 404],
    ["GET", "/", 404],
    ["GET", `/${originHash(log.name).toUpperCase()}/checkpoint`, 404],
    ["GET", `/${originHash("never.example")}/checkpoint`, 404],
    ["GET", "/../etc/passwd/checkpoint", 404],
    ["PUT", `/${originHash(log.name)}/checkpoint`, 405],
  ])("responds to %s %s with %d", async (method, path, status) => {
    expect((await ask(method, path, method === "GET" ? undefined : "x")).status).toBe(status);
  });

  it("refuses a body whose announced or actual length exceeds the limit", async () => {
    const announced = await ask("POST", "/add-checkpoint", "x", { "content-length": 1 << 20 }).catch(String);
    expect(announced).toMatchObject({ status: 413 });
    const chunked = await ask("POST", "/add-checkpoint", "x".repeat(300_000), { "transfer-encoding": "chunked" }).catch(
      String,
    );
    if (typeof chunked !== "string") expect(chunked.status).toBe(413);
    expect((await add(await requestOf(tree, 0, 7))).status).toBe(200);
  });

  it("refuses to start with a state that is damaged, of another log, or of other keys", async () => {
    expect((await add(await requestOf(tree, 0, 7))).status).toBe(200);
    const file = join(state, originHash(log.name), "checkpoint.1");
    const good = readFileSync(file, "utf8");
    for (const bad of ["", good.slice(0, 40), good.replace("\n7\n", "\n6\n"), good.replace("shop", "shoq")]) {
      writeFileSync(file, bad);
      expect(() => witness()).toThrow(/is damaged .* restore it/);
    }
    writeFileSync(file, good);
    const stranger = parsePrivateKey(formatPrivateKey(log.name, seed()));
    const newKey = parsePrivateKey(formatPrivateKey("w.example/2", seed(), "cosignature"));
    expect(() => witness(undefined, { logs: [stranger], signer: newKey })).toThrow("none of the known keys");
    expect(() => witness(undefined, { signer: newKey })).not.toThrow();
  });

  it("signs nothing inconsistent whichever file system call fails, and neither does its successor", async () => {
    const calls = [
      "closeSync",
      "fsyncSync",
      "linkSync",
      "openSync",
      "readdirSync",
      "readFileSync",
      "writeSync",
    ] as const;
    for (const call of calls) {
      for (let which = 0; which < 4; which++) {
        rmSync(state, { recursive: true, force: true });
        nodeFs.mkdirSync(state);
        const given: { readonly from: MemoryTree; readonly size: number }[] = [];
        let left = Number.POSITIVE_INFINITY;
        const broken = Object.create(nodeFs) as WitnessFs;
        (broken as { [name: string]: unknown })[call] = (...args: unknown[]) => {
          if (left-- === 0) throw Object.assign(new Error("EIO: broken"), { code: "EIO" });
          return (nodeFs[call] as (...given: unknown[]) => unknown)(...args);
        };
        let subject = witness(broken);
        const post = (body: string): number | "thrown" => {
          try {
            return subject.respond({ method: "POST", path: "/add-checkpoint", body: Buffer.from(body) }).status;
          } catch {
            return "thrown";
          }
        };
        const grow = async (from: MemoryTree, old: number, size: number): Promise<void> => {
          if (post(await requestOf(from, old, size)) === 200) given.push({ from, size });
        };
        await grow(tree, 0, 3);
        left = which;
        await grow(tree, 3, 8);
        left = Number.POSITIVE_INFINITY;
        await grow(rewritten, 3, 9);
        subject = witness();
        await grow(rewritten, 3, 10);
        await grow(tree, 3, 11);
        await grow(tree, 8, 11);
        for (const [i, { from, size }] of given.entries()) {
          for (const later of given.slice(i + 1)) {
            const proof = await consistencyProof(size, later.size, later.from.first(later.size).tiles);
            const holds = verifyConsistency(size, from.root(size), later.size, later.from.root(later.size), proof);
            expect(holds, `${call} ${which}`).toBe(true);
          }
        }
        expect(given.length, `${call} ${which}`).toBeGreaterThan(1);
      }
    }
  });

  it("notices another process that uses the same state without a lock", async () => {
    const [one, two] = [witness(), witness()];
    const post = (subject: Witness, body: string): number =>
      subject.respond({ method: "POST", path: "/add-checkpoint", body: Buffer.from(body) }).status;
    expect(post(one, await requestOf(tree, 0, 3))).toBe(200);
    expect(post(two, await requestOf(tree, 0, 3))).toBe(409);
    // A process that read the state, slept, and continues after others have replaced it twice.
    const asleep = new WitnessState(state);
    const looked = asleep.latest(log.name);
    expect(post(two, await requestOf(tree, 3, 5))).toBe(200);
    expect(asleep.replace(log.name, looked?.revision ?? 0, "x")).toBe(false);
    expect(post(one, await requestOf(tree, 5, 8))).toBe(200);
    expect(asleep.replace(log.name, looked?.revision ?? 0, "x")).toBe(false);
    expect(readdirSync(join(state, originHash(log.name)))).toEqual(["checkpoint.3"]);
  });

  it("releases no signature if another process is faster at the last moment", async () => {
    const other = witness();
    const late = Object.create(nodeFs) as WitnessFs;
    const meanwhile = await requestOf(rewritten, 3, 9);
    (late as { linkSync: WitnessFs["linkSync"] }).linkSync = (from, to) => {
      if (to.toString().endsWith(".2")) {
        other.respond({ method: "POST", path: "/add-checkpoint", body: Buffer.from(meanwhile) });
      }
      nodeFs.linkSync(from, to);
    };
    const subject = witness(late);
    const post = (body: string) =>
      subject.respond({ method: "POST", path: "/add-checkpoint", body: Buffer.from(body) });
    expect(post(await requestOf(tree, 0, 3)).status).toBe(200);
    expect(post(await requestOf(tree, 3, 8))).toMatchObject({ status: 409, body: "9\n" });
  });

  it("removes the leftovers of a killed process", async () => {
    const place = join(state, originHash(log.name));
    writeFileSync(join(place, "tmp.1.abcdef"), "half a no");
    witness();
    expect(existsSync(join(place, "tmp.1.abcdef"))).toBe(false);
  });
});

describe("the example of tlog-cosignature", () => {
  it("has a key and a line that parse", () => {
    const line =
      "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
    const { signatures } = parseNote(`x\n\n${line}\n`);
    expect(signatures[0]).toMatchObject({ name: "witness.example.com/w1", keyId: 0x8d66cf3f });
    expect(cosignatureTime(signatures[0] as never)).toBe(1_679_315_147);
    expect(parseVkey(signer.vkey).keyId).toBe(signer.keyId);
  });
});
