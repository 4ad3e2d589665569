import { randomBytes } from "node:crypto";
import { formatCheckpoint, formatNote, leafHash, type NoteSignature, signNote } from "seclog/merkle";
import { describe, expect, it } from "vitest";
import { newKey, ORIGIN } from "#test/support/naive-sealer.ts";
import { openCheckpoint, readVkey, splitNotes, VerifyError } from "./note.ts";

const log = newKey();
const other = newKey("other.example");
const witness = newKey("w.example", "cosignature");
const text = formatCheckpoint({ origin: ORIGIN, size: 20_852_163, root: leafHash("x") });
const note = signNote(text, [log]);
const known = readVkey(log.vkey);

describe("openCheckpoint()", () => {
  it("opens a note that seclog/merkle signed, and refuses one with a changed byte or a missing end", () => {
    expect(openCheckpoint(note, [known])).toMatchObject({
      origin: ORIGIN,
      size: 20_852_163,
      root: Buffer.from(leafHash("x")).toString("latin1"),
      signers: [known],
    });
    for (let i = 0; i < note.length; i++) {
      const changed = `${note.slice(0, i)}${note[i] === "A" ? "B" : "A"}${note.slice(i + 1)}`;
      expect(() => openCheckpoint(changed, [known]), `byte ${i}`).toThrow(VerifyError);
      expect(() => openCheckpoint(note.slice(0, i), [known]), `cut at ${i}`).toThrow(VerifyError);
    }
  });

  it("opens a cosigned note, ignores unknown keys, and refuses an invalid signature of a known witness", () => {
    const signed = signNote(text, [other, log, witness]);
    const opened = openCheckpoint(signed, [known, readVkey(witness.vkey)]);
    expect(opened.signers.map(({ name }) => name)).toEqual([ORIGIN, "w.example"]);
    expect(opened.unknown).toEqual([expect.stringMatching(/^other\.example\+[0-9a-f]{8}$/)]);
    const signature = witness.sign(text);
    const bad: NoteSignature = { ...signature, signature: Buffer.from(signature.signature).fill(1, 0, 8) };
    const forged = formatNote({ text, signatures: [log.sign(text), bad] });
    expect(openCheckpoint(forged, [known]).signers).toEqual([known]);
    expect(() => openCheckpoint(forged, [known, readVkey(witness.vkey)])).toThrow("the signature of w.example+");
  });

  it("refuses a note with a valid and an invalid signature of one known key", () => {
    const twice = formatNote({ text, signatures: [log.sign(text), { ...log.sign(text), signature: randomBytes(64) }] });
    expect(() => openCheckpoint(twice, [known])).toThrow("is invalid");
  });

  it("names the signers when no known key signed", () => {
    expect(() => openCheckpoint(signNote(text, [other]), [known])).toThrow("it is signed by other.example+");
    expect(openCheckpoint(signNote(text, [other]), [known], "allow").signers).toEqual([]);
  });

  it("does not accept a witness's key with the log's name as the log's key", () => {
    const namesake = newKey(ORIGIN, "cosignature");
    expect(openCheckpoint(signNote(text, [namesake]), [known], "allow").signers).toEqual([]);
  });

  it.each([
    ["carriage returns", (good: string) => good.replaceAll("\n", "\r\n")],
    ["a control character", (good: string) => good.replace("shop", "sh\u0001op")],
    ["a minus for the dash", (good: string) => good.replace("\u2014", "-")],
    ["two spaces", (good: string) => good.replace("shop ", "shop  ")],
    ["a line after the signatures", (good: string) => `${good}x\n`],
    ["no signatures", (good: string) => good.slice(0, good.indexOf("\u2014"))],
    ["101 signatures", (good: string) => good + `${good.split("\n").at(-2)}\n`.repeat(100)],
    ["Base64 without its padding", (good: string) => good.replace(/=\n$/, "\n")],
  ])("refuses %s", (_, change) => {
    expect(change(note)).not.toBe(note);
    expect(() => openCheckpoint(change(note), [known])).toThrow(VerifyError);
  });

  it.each([
    ["a size with a leading zero", `${ORIGIN}\n03\n${Buffer.alloc(32).toString("base64")}\n`],
    ["a negative size", `${ORIGIN}\n-3\n${Buffer.alloc(32).toString("base64")}\n`],
    ["a size beyond 2^53", `${ORIGIN}\n9007199254740993\n${Buffer.alloc(32).toString("base64")}\n`],
    ["a short root", `${ORIGIN}\n3\n${Buffer.alloc(31).toString("base64")}\n`],
    ["no origin", `\n3\n${Buffer.alloc(32).toString("base64")}\n`],
    ["no root", `${ORIGIN}\n3\n`],
    ["an empty line within", `${ORIGIN}\n3\n${Buffer.alloc(32).toString("base64")}\n\nx\n`],
  ])("refuses a signed checkpoint with %s", (_, bad) => {
    expect(() => openCheckpoint(signNote(bad, [log]), [known])).toThrow("this is not a checkpoint");
  });
});

describe("readVkey()", () => {
  const example = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
  it("reads the specification's example", () => {
    expect(readVkey(example)).toMatchObject({ name: "example.com/foo", id: "530d903a", kind: "log" });
  });

  it.each([
    example.replace("530d903a", "530d903b"),
    example.replace("foo", "fop"),
    example.replace("AekyeR", "AukyeR"),
    example.replace("530d903a", "530D903A"),
    example.slice(0, -4),
    example.replace("+530d903a", ""),
    example.replace("example.com/foo", ""),
    `${example} `,
    "",
  ])("refuses %j", (bad) => {
    expect(() => readVkey(bad)).toThrow(VerifyError);
  });
});

describe("splitNotes()", () => {
  it("splits consecutive notes, with or without empty lines between them", () => {
    const second = signNote(text, [log, other]);
    expect(splitNotes(note + second)).toEqual([note, second]);
    expect(splitNotes(`\n${note}\n\n${second}\n`)).toEqual([note, second]);
    expect(splitNotes("\n\n")).toEqual([]);
    expect(splitNotes(`${note}rubbish\n`)).toEqual([note, "rubbish\n\n"]);
  });
});
