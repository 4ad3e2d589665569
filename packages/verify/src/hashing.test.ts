import { inclusionProof, leafHash as otherLeafHash, TreeAppender, tilePath } from "seclog/merkle";
import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { CompactRange, EMPTY_ROOT, hex, leafHash, pathLeads, TILE_WIDTH, tileRoot } from "./hashing.ts";

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

describe("CompactRange", () => {
  it("has the root of the classic eight leaves (RFC 6962)", () => {
    const leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const range = new CompactRange();
    expect(hex(EMPTY_ROOT)).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(range.root()).toBe(EMPTY_ROOT);
    for (const leaf of leaves) range.append(leafHash(Buffer.from(leaf, "hex")));
    expect(Buffer.from(range.root(), "latin1").toString("base64")).toBe("XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=");
  });

  it("has the other implementation's root at every size to 1,200, leaf by leaf and tile by tile", () => {
    const range = new CompactRange();
    const byTiles = new CompactRange();
    const tree = new TreeAppender();
    let tile: string[] = [];
    for (let n = 0; n < 1_200; n++) {
      const leaf = leafHash(`entry ${n}`);
      range.append(leaf);
      tree.append(otherLeafHash(`entry ${n}`));
      expect(range.root()).toBe(latin1(tree.root()));
      tile.push(leaf);
      if (tile.length < TILE_WIDTH) continue;
      const root = tileRoot(Buffer.from(tile.join(""), "latin1"), 0);
      expect(range.lastTile).toBe(root);
      byTiles.append(root, TILE_WIDTH);
      tile = [];
      expect(byTiles.root()).toBe(range.root());
    }
  });

  it("is not affected by appends to a clone", () => {
    const range = new CompactRange();
    for (let n = 0; n < 5; n++) range.append(leafHash(`${n}`));
    const root = range.root();
    range.clone().append(leafHash("x"));
    expect(range.root()).toBe(root);
  });
});

describe("pathLeads()", () => {
  it("accepts the other implementation's proofs, and refuses changed ones", async () => {
    const tree = new TreeAppender();
    const size = 300;
    for (let n = 0; n < size; n++) tree.append(otherLeafHash(`${n}`));
    const tiles = new Map(tree.take().map((tile) => [tilePath(tile), tile.hashes]));
    const root = latin1(tree.root());
    await fc.assert(
      fc.asyncProperty(fc.nat(size - 1), fc.nat(), fc.nat(255), async (index, where, bit) => {
        const proof = await inclusionProof(index, size, async (names) =>
          names.map((name) => tiles.get(tilePath(name)) as Uint8Array),
        );
        const path = proof.map(latin1);
        const leaf = leafHash(`${index}`);
        expect(pathLeads(leaf, index, size, path, root)).toBe(true);
        expect(pathLeads(leafHash("x"), index, size, path, root)).toBe(false);
        expect(pathLeads(leaf, index ^ 1, size, path, root)).toBe(false);
        expect(pathLeads(leaf, index, size, [...path, leaf], root)).toBe(false);
        expect(pathLeads(leaf, index, size, [leaf, ...path], root)).toBe(false);
        expect(pathLeads(leaf, index, size, path.slice(1), root)).toBe(false);
        expect(pathLeads(leaf, index, size, path.slice(0, -1), root)).toBe(false);
        expect(pathLeads(leaf, size, size, path, root)).toBe(false);
        const i = where % path.length;
        const flipped = Buffer.from(path[i] as string, "latin1");
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
        expect(pathLeads(leaf, index, size, path.with(i, flipped.toString("latin1")), root)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it("refuses indexes and sizes that no tree has", () => {
    const leaf = leafHash("x");
    expect(pathLeads(leaf, 0, 1, [], leaf)).toBe(true);
    for (const [index, size] of [
      [-1, 1],
      [0.5, 1],
      [0, 2 ** 53],
      [0, 0],
    ] as const) {
      expect(pathLeads(leaf, index, size, [], leaf)).toBe(false);
    }
  });
});
