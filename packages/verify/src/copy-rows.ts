/** The rows of an answer, out of pieces that end anywhere. */

/** The lines of an answer, without their newlines. For the small tables: a line becomes a string. */
export async function* linesOf(pieces: AsyncIterable<Buffer>): AsyncIterable<string> {
  for await (const { rows, start, end } of rowsOf(pieces)) yield rows.toString("utf8", start, end);
}

/** The rows of an answer: each stands in `rows` from `start` to the newline at `end`. The same object each time. */
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

/** The same bytes, in pieces that end with a row. A row that does not end is given as far as it goes, with a newline. */
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
      // Only the row that two pieces share is copied.
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
