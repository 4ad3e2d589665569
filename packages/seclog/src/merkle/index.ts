/**
 * A transparency log's mathematics and formats, usable on its own: RFC 6962 trees in tiles, proofs, signed notes,
 * checkpoints.
 */
export { type Checkpoint, formatCheckpoint, parseCheckpoint } from "./checkpoint.ts";
export { EMPTY_ROOT, HASH_BYTES, leafHash, nodeHash, sameHash } from "./hash.ts";
export {
  cosignatureTime,
  formatNote,
  formatPrivateKey,
  KEY_TYPES,
  NoteError,
  type NoteSignature,
  type NoteSigner,
  type NoteVerifier,
  openNote,
  parseNote,
  parsePrivateKey,
  parseVkey,
  type SignedNote,
  signNote,
} from "./note.ts";
export { consistencyProof, inclusionProof, type Proof, treeRoot, verifyConsistency, verifyInclusion } from "./proof.ts";
export {
  edgeTiles,
  levelWidth,
  parseTilePath,
  TILE_WIDTH,
  type Tile,
  type TileName,
  type TileReader,
  TreeAppender,
  tilePath,
} from "./tiles.ts";
export { formatTlogProof, parseTlogProof, type TlogProof, verifyTlogProof } from "./tlog-proof.ts";
