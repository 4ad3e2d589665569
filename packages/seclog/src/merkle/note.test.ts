import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { formatCheckpoint, parseCheckpoint } from "./checkpoint.ts";
import { leafHash } from "./hash.ts";
import {
  cosignatureTime,
  formatNote,
  formatPrivateKey,
  NoteError,
  openNote,
  parseNote,
  parsePrivateKey,
  parseVkey,
  signNote,
} from "./note.ts";
import { inclusionProof } from "./proof.ts";
import { TreeAppender, tilePath } from "./tiles.ts";
import { formatTlogProof, parseTlogProof, verifyTlogProof } from "./tlog-proof.ts";

/** The example of https://c2sp.org/signed-note. */
const EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE = `This is an example message.

\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`;

const key = (name: string, type?: "ed25519" | "cosignature") =>
  parsePrivateKey(formatPrivateKey(name, randomBytes(32), type), () => 1_679_315_147);
const text = formatCheckpoint({ origin: "log.example/shop", size: 3, root: leafHash("x") });

describe("notes", () => {
  it("opens the specification's example, and nothing that differs by a byte", () => {
    const verifier = parseVkey(EXAMPLE_KEY);
    expect(openNote(EXAMPLE, [verifier]).text).toBe("This is an example message.\n");
    for (let i = 0; i < EXAMPLE.length; i++) {
      const changed = `${EXAMPLE.slice(0, i)}${EXAMPLE[i] === "A" ? "B" : "A"}${EXAMPLE.slice(i + 1)}`;
      expect(() => openNote(changed, [verifier]), `byte ${i}`).toThrow(NoteError);
    }
    for (let i = 0; i < EXAMPLE.length; i++) {
      expect(() => openNote(EXAMPLE.slice(0, i), [verifier]), `cut at ${i}`).toThrow(NoteError);
    }
  });

  it("opens a note of several keys when one is known, and refuses a false signature of a known key", () => {
    const [log, other, witness] = [key("log.example/shop"), key("other.example"), key("w.example", "cosignature")];
    const note = signNote(text, [log, other, witness]);
    expect(openNote(note, [log]).verified).toEqual([log]);
    expect(openNote(note, [witness, log]).verified).toHaveLength(2);
    expect(cosignatureTime(parseNote(note).signatures[2] as never)).toBe(1_679_315_147);
    expect(() => openNote(note, [key("log.example/shop")])).toThrow("none of the known keys has signed the note");
    const { signatures } = parseNote(note);
    const forged = signatures.map((line) => ({ ...line, signature: Buffer.from(line.signature).fill(7, 0, 8) }));
    for (const [i, signer] of [log, other, witness].entries()) {
      const mixed = formatNote({ text, signatures: signatures.with(i, forged[i] as never) });
      expect(() => openNote(mixed, [log, other, witness])).toThrow(`the signature of ${signer.vkey} is false`);
      if (signer !== log) expect(openNote(mixed, [log]).verified).toEqual([log]);
    }
  });

  it("does not take a witness's signature for a log's, nor the reverse", () => {
    const seed = randomBytes(32);
    const log = parsePrivateKey(formatPrivateKey("one.example", seed));
    const witness = parsePrivateKey(formatPrivateKey("one.example", seed, "cosignature"));
    expect(log.keyId).not.toBe(witness.keyId);
    const note = signNote(text, [witness]);
    expect(() => openNote(note, [log])).toThrow(NoteError);
    const renamed = formatNote({ text, signatures: [{ ...witness.sign(text), keyId: log.keyId }] });
    expect(() => openNote(renamed, [log])).toThrow("is false");
  });

  it.each([
    ["no signatures", "text\n"],
    ["no empty line", "text\n\u2014 a AAAAAAAA\n"],
    ["no last newline", EXAMPLE.slice(0, -1)],
    ["a control character", EXAMPLE.replace("This", "Th\tis")],
    ["a carriage return", EXAMPLE.replaceAll("\n", "\r\n")],
    ["a minus for the dash", EXAMPLE.replace("\u2014", "-")],
    ["two spaces", EXAMPLE.replace("foo ", "foo  ")],
    ["a name with a plus", EXAMPLE.replace("example.com/foo", "example.com+foo")],
    ["Base64 without its padding", EXAMPLE.replace("=\n", "\n")],
    ["Base64 for URLs", EXAMPLE.replace("Uw2Q", "Uw-_")],
    ["a line after the signatures", `${EXAMPLE}x\n`],
    ["101 signatures", EXAMPLE + `${EXAMPLE.split("\n")[2]}\n`.repeat(100)],
  ])("refuses %s", (_, note) => {
    expect(() => openNote(note, [parseVkey(EXAMPLE_KEY)])).toThrow(NoteError);
  });

  it("accepts 16 signatures of other keys", () => {
    const others = Array.from({ length: 16 }, (_, i) => key(`w${i}.example`, "cosignature"));
    const log = key("log.example/shop");
    expect(openNote(signNote(text, [...others, log]), [log]).verified).toEqual([log]);
  });
});

describe("keys", () => {
  it("come back from their text", () => {
    const text = formatPrivateKey("log.example/shop", randomBytes(32));
    const signer = parsePrivateKey(`${text}\n`);
    expect(parseVkey(signer.vkey)).toMatchObject({ name: "log.example/shop", keyId: signer.keyId });
  });

  it.each([
    EXAMPLE_KEY.replace("530d903a", "530d903b"),
    EXAMPLE_KEY.replace("example.com/foo", "example.com/fop"),
    EXAMPLE_KEY.replace("AekyeR", "AukyeR"),
    EXAMPLE_KEY.slice(0, -4),
    EXAMPLE_KEY.replace("+530d903a", ""),
    "",
  ])("refuses the vkey %s", (vkey) => {
    expect(() => parseVkey(vkey)).toThrow(NoteError);
  });

  it("never shows a private key in an error", () => {
    const text = formatPrivateKey("log.example/shop", randomBytes(32));
    const secret = text.slice(-44);
    for (const bad of [text.slice(1), text.replace("log.example/shop", "x"), text.slice(0, -1), `${text}x`]) {
      let message = "";
      try {
        parsePrivateKey(bad);
      } catch (error) {
        message = String(error);
      }
      expect(message).toContain("NoteError");
      expect(message).not.toContain(secret.slice(0, 20));
    }
  });

  it.each(["", "a b", "a+b", "a\u00a0b", "a\nb", "\ud800"])("refuses the name %j", (name) => {
    expect(() => formatPrivateKey(name, randomBytes(32))).toThrow(NoteError);
  });
});

describe("checkpoints", () => {
  it("come back from their text", () => {
    const checkpoint = { origin: "log.example/shop", size: 20_852_163, root: leafHash("x") };
    expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint);
    expect(parseCheckpoint(`${formatCheckpoint(checkpoint)}extension\n`)).toEqual(checkpoint);
  });

  it.each([
    text.replace("\n3\n", "\n03\n"),
    text.replace("\n3\n", "\n-3\n"),
    text.replace("\n3\n", "\n9007199254740992\n"),
    text.replace("log.example/shop", ""),
    text.slice(0, -1),
    text.replace("=\n", "\n"),
    text.replace(/\n[^\n]{44}\n/, "\nAAAA\n"),
    `${text}\n`,
    `${text}a\n\nb\n`,
    "log.example\n3\n",
  ])("refuses %j", (bad) => {
    expect(() => parseCheckpoint(bad)).toThrow(NoteError);
  });
});

describe("proofs in a file", () => {
  const log = key("log.example/shop");
  const witness = key("w.example", "cosignature");
  const make = async () => {
    const tree = new TreeAppender();
    for (let n = 0; n < 11; n++) tree.append(leafHash(`entry ${n}`));
    const tiles = new Map(tree.take().map((tile) => [tilePath(tile), tile.hashes]));
    const proof = await inclusionProof(6, 11, async (names) =>
      names.map((name) => tiles.get(tilePath(name)) as Uint8Array),
    );
    const checkpoint = signNote(formatCheckpoint({ origin: log.name, size: 11, root: tree.root() }), [log, witness]);
    return { index: 6, proof, checkpoint, extra: Buffer.from("entry 6") };
  };

  it("hold with the log's key alone, and name the witnesses that signed", async () => {
    const read = parseTlogProof(formatTlogProof(await make()));
    expect(read).toEqual(await make());
    expect(verifyTlogProof(leafHash("entry 6"), read, [log])).toMatchObject({
      checkpoint: { size: 11 },
      witnesses: [],
    });
    expect(verifyTlogProof(leafHash("entry 6"), read, [log], [witness]).witnesses).toEqual([witness]);
  });

  it("do not hold for another entry, index, key or log", async () => {
    const proof = await make();
    const other = key("other.example");
    expect(() => verifyTlogProof(leafHash("entry 7"), proof, [log])).toThrow("does not lead from the leaf");
    expect(() => verifyTlogProof(leafHash("entry 6"), { ...proof, index: 7 }, [log])).toThrow("does not lead");
    expect(() => verifyTlogProof(leafHash("entry 6"), proof, [key(log.name)])).toThrow("none of the known keys");
    expect(() => verifyTlogProof(leafHash("entry 6"), proof, [witness])).toThrow("none of the known keys");
    expect(() => verifyTlogProof(leafHash("entry 6"), proof, [other], [witness])).toThrow("no key of that log");
    const foreign = { ...proof, checkpoint: signNote(parseNote(proof.checkpoint).text, [other]) };
    expect(() => verifyTlogProof(leafHash("entry 6"), foreign, [log, other])).toThrow("none of the known keys");
  });

  it.each([
    ["the first line", (file: string) => file.replace("@v1", "@v2")],
    ["the index", (file: string) => file.replace("index 6", "index 06")],
    ["no index", (file: string) => file.replace("index 6\n", "")],
    ["a short hash", (file: string) => file.replace(/index 6\n..../, "index 6\n")],
    ["a long path", (file: string) => file.replace("index 6\n", `index 6\n${`${"A".repeat(43)}=\n`.repeat(60)}`)],
    ["the extra line", (file: string) => file.replace("extra ", "extra -")],
    ["no empty line", (file: string) => file.replaceAll("\n\n", "\n")],
  ])("are refused when bad: %s", async (_, change) => {
    const file = formatTlogProof(await make());
    expect(() => parseTlogProof(change(file))).toThrow(NoteError);
  });
});
