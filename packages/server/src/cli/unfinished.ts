/** A verification without a verdict: the database went away or a file cannot be read. The cause says why. */
export class Unfinished extends Error {
  override readonly name = "Unfinished";
}
