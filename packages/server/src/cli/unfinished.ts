/** A verification that has no verdict: the database went away, a file cannot be read. Its cause says why. */
export class Unfinished extends Error {
  override readonly name = "Unfinished";
}
