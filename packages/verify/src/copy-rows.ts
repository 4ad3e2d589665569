/** Splits an answer, whose pieces may end anywhere, into rows. */

/** The lines of an answer, without their newlines. For the small tables only, because each line becomes a string. */
export async function* linesOf(pieces: AsyncIterable<Buffer>): AsyncIterable<string> {
  for await (const { rows, start, end } of rowsOf(pieces)) yield rows.toString("utf8", start, end);
}

/** The rows of an answer: each is in `rows` from `start` to the newline at `end`. */
export async function* rowsOf(
  pieces: AsyncIterable<Buffer>,
): AsyncIterable<{ readonly rows: Buffer; readonly start: number; readonly end: number }> {
  for await (const batch of batchesOf(pieces)) {
    for (let start = 0; start < batch.length; ) {
      const end = batch.indexOf(0x0a, start);
      yield { rows: batch, start, end };
      start = end + 1;
    }
  }
}

/** The same bytes, in pieces that end with a row. An unfinished last row is returned with a newline added. */
export async function* batchesOf(pieces: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  let begun: Buffer[] = [];
  for await (const piece of pieces) {
    const first = piece.indexOf(0x0a);
    if (first < 0) {
      begun.push(piece);
      continue;
    }
    let start = 0;
    if (begun.length > 0) {
      // Copies only the row that two pieces share.
      yield Buffer.concat([...begun, piece.subarray(0, first + 1)]);
      begun = [];
      start = first + 1;
    }
    const end = piece.lastIndexOf(0x0a) + 1;
    if (end > start) yield piece.subarray(start, end);
    if (end < piece.length) begun = [piece.subarray(end)];
  }
  if (begun.length > 0) yield Buffer.concat([...begun, Buffer.from("\n")]);
}
