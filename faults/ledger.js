/**
 * The ledger: a process that no fault touches. Applications write to its pipe, each line in one write and before the
 * call continues. It appends every line to a file:
 *
 *     try <key> <hash> <ms>   the event is about to be recorded; the hash covers what its row must hold, the time is
 *                             the application's, in milliseconds since the epoch, as in the lines below
 *     ack <key> <ms>          its promise resolved
 *     no <key> <ms>           its promise was rejected, or the call threw
 *     end <word>              the ledger reports to its parent that it has read everything before this line
 *
 * Lines are shorter than PIPE_BUF, so a line stays whole even when its writer is killed (pipe(7)).
 */
import { appendFileSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";

const [pipe, file] = process.argv.slice(2);
// Also open for writing, so that the pipe does not end with the last application.
const socket = new Socket({ fd: openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK) });
let rest = "";
socket.setEncoding("latin1");
socket.on("data", (text) => {
  const whole = (rest + text).lastIndexOf("\n") + 1;
  const lines = (rest + text).slice(0, whole);
  rest = (rest + text).slice(whole);
  appendFileSync(file, lines);
  for (const [, word] of lines.matchAll(/^end (.+)$/gm)) process.send?.(word);
});
// Ctrl-C reaches the whole process group; the parent ends the ledger once the world is written.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {});
process.on("disconnect", () => process.exit());
process.send?.("ready");
