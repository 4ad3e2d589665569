/** Ends the program with this exit code, after the command has printed all that it has to say. */
export class Exit extends Error {
  readonly exitCode: 0 | 1;

  constructor(exitCode: 0 | 1) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}
