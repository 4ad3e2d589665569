import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { EMPTY_ROOT, leafHash, nodeHash } from "./hash.ts";
import { consistencyProof, inclusionProof, type Proof, treeRoot, verifyConsistency, verifyInclusion } from "./proof.ts";
import { edgeTiles, parseTilePath, type Tile, type TileReader, TreeAppender, tilePath } from "./tiles.ts";

/** The roots that {@link naiveRoot} has found, by the first leaf and the number of leaves. */
const roots = new WeakMap<Uint8Array, Map<number, Uint8Array>>();

/** RFC 6962, section 2.1, word for word; each root once, or the tests would take minutes. */
function naiveRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const [first] = leaves;
  if (first === undefined) return createHash("sha256").digest();
  if (leaves.length === 1) return first;
  const found = roots.get(first) ?? new Map<number, Uint8Array>();
  roots.set(first, found);
  const k = split(leaves.length);
  const root = found.get(leaves.length) ?? nodeHash(naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)));
  found.set(leaves.length, root);
  return root;
}

function naivePath(m: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  return m < k
    ? [...naivePath(m, leaves.slice(0, k)), naiveRoot(leaves.slice(k))]
    : [...naivePath(m - k, leaves.slice(k)), naiveRoot(leaves.slice(0, k))];
}

function naiveSubproof(m: number, leaves: readonly Uint8Array[], whole: boolean): Uint8Array[] {
  if (m === leaves.length) return whole ? [] : [naiveRoot(leaves)];
  const k = split(leaves.length);
  return m <= k
    ? [...naiveSubproof(m, leaves.slice(0, k), whole), naiveRoot(leaves.slice(k))]
    : [...naiveSubproof(m - k, leaves.slice(k), false), naiveRoot(leaves.slice(0, k))];
}

function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

const leaf = (n: number): Uint8Array => leafHash(`leaf ${n}`);

/** Appends in pieces, each with an appender that has only the edge, as a restarted sealer does. */
function grow(pieces: readonly number[]): {
  readonly store: Map<string, Tile>;
  readonly size: number;
  readonly root: Uint8Array;
} {
  const store = new Map<string, Tile>();
  let size = 0;
  let root = EMPTY_ROOT;
  for (const piece of pieces) {
    const edge = edgeTiles(size).map((name) => store.get(tilePath(name)) as Tile);
    const appender = new TreeAppender(size, edge);
    expect(appender.root()).toEqual(root);
    for (let i = 0; i < piece; i++) appender.append(leaf(size + i));
    for (const tile of appender.take()) store.set(tilePath(tile), tile);
    size = appender.size;
    root = appender.root();
  }
  return { store, size, root };
}

/** A tile as a text: of two byte arrays a matcher compares every byte on its own. */
const textOf = (tile: Tile | undefined): string =>
  `${tile?.width} ${Buffer.from(tile?.hashes ?? []).toString("base64")}`;

const readerOf =
  (store: Map<string, Tile>): TileReader =>
  async (names) =>
    names.map((name) => (store.get(tilePath(name)) as Tile).hashes);

describe("the tree", () => {
  it("has the roots of the classic eight leaves", () => {
    const leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const appender = new TreeAppender();
    for (const hex of leaves) appender.append(leafHash(Buffer.from(hex, "hex")));
    expect(Buffer.from(appender.root()).toString("base64")).toBe("XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=");
    expect(Buffer.from(leafHash("")).toString("hex").slice(0, 8)).toBe("6e340b9c");
    expect(Buffer.from(EMPTY_ROOT).toString("hex").slice(0, 8)).toBe("e3b0c442");
  });

  it("is the naive tree at every size to 600", () => {
    const appender = new TreeAppender();
    const leaves: Uint8Array[] = [];
    for (let n = 0; n <= 600; n++) {
      expect(appender.root()).toEqual(naiveRoot(leaves));
      leaves.push(leaf(n));
      appender.append(leaf(n));
    }
  });

  it("is the same however it was grown, and its tiles are those that the specification names", () => {
    const whole = grow([1000]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 8 }), (pieces) => {
        const { store, size, root } = grow(pieces);
        const one = grow([size]);
        expect(root).toEqual(one.root);
        for (const [path, tile] of one.store) expect(textOf(store.get(path)), path).toBe(textOf(tile));
      }),
      { numRuns: 30 },
    );
    expect([...whole.store.keys()].sort()).toEqual([
      "tile/0/000",
      "tile/0/001",
      "tile/0/002",
      "tile/0/003.p/232",
      "tile/1/000.p/3",
    ]);
  });

  it("has at 70,000 leaves the tiles of the specification's example", () => {
    expect(edgeTiles(70_000)).toEqual([
      { level: 0, index: 273, width: 112 },
      { level: 1, index: 1, width: 17 },
      { level: 2, index: 0, width: 1 },
    ]);
    expect(edgeTiles(256)).toEqual([{ level: 1, index: 0, width: 1 }]);
  });

  it("refuses an edge of another size", () => {
    const { store } = grow([300]);
    const edge = edgeTiles(300).map((name) => store.get(tilePath(name)) as Tile);
    expect(() => new TreeAppender(301, edge)).toThrow(RangeError);
    expect(() => new TreeAppender(300, edge.slice(1))).toThrow(RangeError);
    expect(
      () =>
        new TreeAppender(
          300,
          edge.map((tile) => ({ ...tile, hashes: tile.hashes.subarray(32) })),
        ),
    ).toThrow(RangeError);
  });
});

describe("tile paths", () => {
  it("are those of the specification, both ways", () => {
    expect(tilePath({ level: 0, index: 1_234_067, width: 256 })).toBe("tile/0/x001/x234/067");
    expect(tilePath({ level: 3, index: 0, width: 17 })).toBe("tile/3/000.p/17");
    fc.assert(
      fc.property(fc.nat(63), fc.maxSafeNat(), fc.integer({ min: 1, max: 256 }), (level, index, width) => {
        expect(parseTilePath(tilePath({ level, index, width }))).toEqual({ level, index, width });
      }),
    );
  });

  it.each([
    "tile/0/1",
    "tile/00/001",
    "tile/64/001",
    "tile/0/x000/001",
    "tile/0/001.p/0",
    "tile/0/001.p/256",
    "tile/0/001.p/01",
    "tile/0/x01/001",
    "/tile/0/001",
    "tile/0/001/",
    "tile/-1/001",
    "tile/0/x999/x999/x999/x999/x999/x999/999",
  ])("knows no %s", (path) => {
    expect(parseTilePath(path)).toBeUndefined();
  });
});

describe("proofs", () => {
  const size = 600;
  const { store } = grow([size]);
  const leaves = Array.from({ length: size }, (_, n) => leaf(n));
  const reader = readerOf(store);
  const rootsBySize = Array.from({ length: size + 1 }, (_, n) => naiveRoot(leaves.slice(0, n)));
  /** A reader of a smaller tree's tiles, from the larger one's. */
  const wider: TileReader = async (names) => await reader(names.map((name) => edgeOrFull(name.level, name.index)));
  const edgeOrFull = (level: number, index: number) => {
    const width = Math.min(256, Math.floor(size / 256 ** level) - index * 256);
    return { level, index, width };
  };

  it("of inclusion are the naive ones, and hold, for sizes to 600", async () => {
    for (const n of [...Array(70).keys(), 127, 128, 129, 255, 256, 257, 300, 511, 512, 513, 599, 600]) {
      for (const index of new Set([0, 1, n >> 1, n - 2, n - 1].filter((value) => value >= 0 && value < n))) {
        const proof = await inclusionProof(index, n, wider);
        expect(proof).toEqual(naivePath(index, leaves.slice(0, n)));
        expect(verifyInclusion(leaves[index] as Uint8Array, index, n, proof, rootsBySize[n] as Uint8Array)).toBe(true);
      }
    }
  });

  it("of consistency are the naive ones, and hold, for sizes to 600", async () => {
    for (const n of [...Array(40).keys(), 127, 128, 255, 256, 257, 511, 512, 513, 600]) {
      for (const old of new Set(
        [...Array(Math.min(n + 1, 40)).keys(), n >> 1, n - 1, n].filter((value) => value >= 0),
      )) {
        const proof = await consistencyProof(old, n, wider);
        if (old > 0 && old < n) expect(proof).toEqual(naiveSubproof(old, leaves.slice(0, n), true));
        expect(verifyConsistency(old, rootsBySize[old] as Uint8Array, n, rootsBySize[n] as Uint8Array, proof)).toBe(
          true,
        );
      }
    }
  });

  it("hold in trees to 100,000 leaves", async () => {
    const large = 100_000;
    const grown = grow([large]);
    const read = readerOf(grown.store);
    expect(await treeRoot(large, read)).toEqual(grown.root);
    const appender = new TreeAppender();
    const old = new Map<number, Uint8Array>();
    const sizes = new Set(Array.from({ length: 40 }, (_, i) => 1 + ((i * 7919 + 13) % large)));
    for (let n = 0; n < large; n++) {
      if (sizes.has(n)) old.set(n, appender.root());
      appender.append(leaf(n));
    }
    for (const n of sizes) {
      const proof = await inclusionProof(n - 1, large, read);
      expect(verifyInclusion(leaf(n - 1), n - 1, large, proof, grown.root)).toBe(true);
      const before = old.get(n);
      if (before === undefined) continue;
      expect(verifyConsistency(n, before, large, grown.root, await consistencyProof(n, large, read))).toBe(true);
    }
  });

  it("that were changed in any way do not hold", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: size }), fc.nat(), fc.nat(), fc.nat(), async (n, at, where, how) => {
        const index = at % n;
        const proof = await inclusionProof(index, n, wider);
        const root = rootsBySize[n] as Uint8Array;
        const hash = leaves[index] as Uint8Array;
        for (const bad of changed(proof, where, how)) expect(verifyInclusion(hash, index, n, bad, root)).toBe(false);
        expect(verifyInclusion(leaf(size + 1), index, n, proof, root)).toBe(false);
        expect(verifyInclusion(hash, n, n, proof, root)).toBe(false);
        for (const other of [index - 1, index + 1, index ^ 1]) {
          if (other !== index) expect(verifyInclusion(hash, other, n, proof, root)).toBe(false);
        }
        const old = 1 + (at % (n - 1));
        const consistency = await consistencyProof(old, n, wider);
        const oldRoot = rootsBySize[old] as Uint8Array;
        for (const bad of changed(consistency, where, how)) {
          expect(verifyConsistency(old, oldRoot, n, root, bad)).toBe(false);
        }
        expect(verifyConsistency(old, root, n, root, consistency)).toBe(false);
        expect(verifyConsistency(old, oldRoot, n, oldRoot, consistency)).toBe(false);
        expect(verifyConsistency(n, root, old, oldRoot, consistency)).toBe(false);
      }),
      { numRuns: 150 },
    );
  });

  it("are refused where none can exist", async () => {
    expect(() => inclusionProof(5, 5, reader)).toThrow(RangeError);
    expect(() => inclusionProof(-1, 5, reader)).toThrow(RangeError);
    await expect(consistencyProof(6, 5, reader)).rejects.toThrow(RangeError);
    expect(verifyInclusion(leaf(0), 0.5, 1, [], leaf(0))).toBe(false);
    expect(verifyInclusion(leaf(0), 0, 2 ** 53, [], leaf(0))).toBe(false);
    expect(verifyInclusion(leaf(0).subarray(1), 0, 1, [], leaf(0).subarray(1))).toBe(false);
    // An empty tree is the beginning of every tree, and its root is known.
    expect(verifyConsistency(0, leaf(1), 5, leaf(2), [])).toBe(false);
  });
});

/** The proof with a bit flipped, cut at either end, longer at either end, and with two hashes exchanged. */
function changed(proof: Proof, where: number, how: number): Proof[] {
  const bad: Proof[] = [
    [...proof, leaf(1)],
    [leaf(1), ...proof],
  ];
  if (proof.length === 0) return bad;
  const i = where % proof.length;
  const flipped = Uint8Array.from(proof[i] as Uint8Array);
  flipped[how % 32] = (flipped[how % 32] as number) ^ (1 << (how % 8));
  bad.push(proof.with(i, flipped), proof.slice(1), proof.slice(0, -1));
  const j = how % proof.length;
  if (i !== j) bad.push(proof.with(i, proof[j] as Uint8Array).with(j, proof[i] as Uint8Array));
  return bad;
}
